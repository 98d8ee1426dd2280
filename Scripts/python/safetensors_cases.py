"""Tiny safetensors files, each with the verdict of the reference reader.

The format's specification leaves corners open (duplicate keys, nesting, odd
JSON), so what a parser must accept is what the reference accepts. This script
builds small files around every boundary, asks the safetensors package, and
writes the files with its verdicts as a fixture for the parser's tests.

Each line of the fixture is one object:

  name       what is special about the file
  base64     the whole file
  reference  "accepts" or "refuses": the verdict of `safetensors.deserialize`
  message    the reference's error, or "" where it accepts
  safe_open  only where `safe_open` disagrees with `deserialize`: its verdict
  tensors    only where accepted: name -> [dtype, shape, data as hex]
  metadata   only where accepted and not null: what `safe_open` reports
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import safetensors

Case = tuple[str, bytes]

BITS = {
    "BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8,
    "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32,
    "C64": 64, "F64": 64, "I64": 64, "U64": 64,
}  # fmt: skip


def info(dtype: Any = "U8", shape: Any = (4,), offsets: Any = (0, 4), **extra: Any) -> dict[str, Any]:
    """One tensor's entry in the header; by default four bytes at the start."""
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets, **extra}


def pack(header: Any, data: int | bytes = 0, length: int | None = None) -> bytes:
    """A file: length, header, data.

    A header given as text or bytes is taken as it is. Data given as a size is
    0, 1, 2, ..., so that a slice of it tells where it was taken from.
    """
    if isinstance(header, dict | list):
        header = json.dumps(header, separators=(",", ":"))
    if isinstance(header, str):
        header = header.encode("utf-8")
    if isinstance(data, int):
        data = bytes(i % 256 for i in range(data))
    return struct.pack("<Q", len(header) if length is None else length) + header + data


ONE = {"a": info()}
ONE_TEXT = '{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}'


def with_field(text: str) -> bytes:
    """One good tensor whose entry has the given text as a further field."""
    return pack('{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4],%s}}' % text, 4)


def with_shape(text: str, size: int = 4) -> bytes:
    return pack('{"a":{"dtype":"U8","shape":%s,"data_offsets":[0,%d]}}' % (text, size), size)


def with_offsets(text: str, size: int = 4) -> bytes:
    return pack('{"a":{"dtype":"U8","shape":[4],"data_offsets":%s}}' % text, size)


def with_name(raw: bytes) -> bytes:
    """One good tensor whose name is the given raw JSON string content."""
    return pack(b'{"' + raw + b'":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}', 4)


def with_metadata(text: str) -> bytes:
    return pack('{"__metadata__":%s,"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}' % text, 4)


def lengths() -> Iterator[Case]:
    """The file's size against the length that its first eight bytes claim."""
    for size in range(9):
        yield f"file of {size} zero bytes", bytes(size)
    yield "header length 1, a brace", pack("{")
    yield "header length 1, a space", pack(" ")
    yield "header length 2, empty object", pack("{}")
    yield "empty object, one byte of data", pack("{}", 1)
    yield "empty object, padded", pack("{}      ")
    yield "header ends with the file, zero-size tensor", pack({"a": info("F32", [0], [0, 0])})
    yield "header length one past the end of the file", pack("{}", length=3)
    yield "header length one short of the header", pack(ONE, 4, length=len(ONE_TEXT) - 1)
    yield "header length one into the data", pack(ONE, 4, length=len(ONE_TEXT) + 1)
    yield "header length one into data that is a space", pack(ONE, b"    ", length=len(ONE_TEXT) + 1)
    for name, n in [
        ("100000000", 100_000_000), ("100000001", 100_000_001), ("2^31", 2**31), ("2^32+2", 2**32 + 2),
        ("2^63-1", 2**63 - 1), ("2^63", 2**63), ("2^64-8", 2**64 - 8), ("2^64-1", 2**64 - 1),
    ]:  # fmt: skip
        yield f"header length {name}", pack("{}", length=n)
    yield "header length big-endian", struct.pack(">Q", 2) + b"{}"
    yield "one tensor", pack(ONE, 4)
    yield "odd header length", pack(ONE_TEXT + " " * (1 + len(ONE_TEXT) % 2), 4)
    yield "trailing byte", pack(ONE, 5)
    yield "missing byte", pack(ONE, 3)
    yield "no data at all", pack(ONE, 0)


def offsets() -> Iterator[Case]:
    """Holes, overlaps and numbers that do not fit."""
    ab = lambda a, b: {"a": info("U8", [4], a), "b": info("U8", [4], b)}  # noqa: E731
    yield "two tensors", pack(ab([0, 4], [4, 8]), 8)
    yield "two tensors, header in reverse order of data", pack(ab([4, 8], [0, 4]), 8)
    yield "tensor not aligned to its dtype", pack({"a": info("U8", [1], [0, 1]), "b": info("F32", [1], [1, 5])}, 5)
    yield "overlap by 1 byte", pack(ab([0, 4], [3, 7]), 7)
    yield "overlap of a whole tensor", pack(ab([0, 4], [0, 4]), 4)
    yield "tensor inside another", pack({"a": info("U8", [4], [0, 4]), "b": info("U8", [2], [1, 3])}, 4)
    yield "hole of 1 byte", pack(ab([0, 4], [5, 9]), 9)
    yield "hole at the start", pack({"a": info("U8", [4], [1, 5])}, 5)
    yield "hole at the start and data one short", pack({"a": info("U8", [4], [1, 5])}, 4)
    yield "offsets reversed", pack({"a": info("U8", [4], [4, 0])}, 4)
    yield "offsets reversed, zero-size", pack({"a": info("U8", [0], [4, 0])}, 4)
    yield "offsets relative to the file", pack({"a": info("U8", [4], [61, 65])}, 4)
    yield "length larger than shape", pack({"a": info("U8", [4], [0, 5])}, 5)
    yield "length smaller than shape", pack({"a": info("U8", [4], [0, 3])}, 3)
    yield "length for another dtype", pack({"a": info("F32", [4], [0, 8])}, 8)
    for name, text in [
        ("end at 2^63", f"[0,{2**63}]"), ("end at 2^64-1", f"[0,{2**64 - 1}]"), ("end at 2^64", f"[0,{2**64}]"),
        ("begin at 2^64-4, end at 2^64", f"[{2**64 - 4},{2**64}]"),
        ("begin and end at 2^64-1", f"[{2**64 - 1},{2**64 - 1}]"), ("beyond any integer", f"[0,{10**40}]"),
        ("negative begin", "[-4,0]"), ("minus zero", "[-0,4]"), ("fraction", "[0.0,4.0]"), ("exponent", "[0,4e0]"),
        ("strings", '["0","4"]'), ("null", "null"), ("empty", "[]"), ("one number", "[4]"),
        ("three numbers", "[0,4,4]"), ("nested", "[[0,4]]"), ("an object", '{"0":0,"1":4}'), ("a number", "4"),
        ("booleans", "[false,true]"), ("a null element", "[0,null]"),
    ]:  # fmt: skip
        yield f"data_offsets: {name}", with_offsets(text)
    # The data's end is begin + size: with these it would wrap around to the real size.
    wrap = {"a": info("U8", [4], [0, 4]), "b": info("U8", [2**64 - 4], [4, 2**64 - 1])}
    yield "data_offsets: a second tensor up to 2^64-1", pack(wrap, 4)
    shape = 2**61 - 1
    yield "buffer end plus header overflows", pack({"a": info("U8", [shape], [0, shape])}, 4)


def shapes() -> Iterator[Case]:
    """Products of dimensions, zero dimensions and numbers that are none."""
    yield "scalar", pack({"a": info("F32", [], [0, 4])}, 4)
    yield "scalar with no bytes", pack({"a": info("F32", [], [0, 0])}, 0)
    yield "dims of 1", with_shape("[1,1,2,1,2,1]")
    yield "64 dims", with_shape("[" + "1," * 63 + "4]")
    yield "zero dim", with_shape("[0]", 0)
    yield "zero dim among others", with_shape("[3,0,5]", 0)
    yield "zero dim with bytes", with_shape("[0]", 4)
    yield "zero-size tensor between two", pack(
        {"a": info("U8", [2], [0, 2]), "z": info("F64", [0, 7], [2, 2]), "b": info("U8", [2], [2, 4])}, 4
    )
    yield "two zero-size tensors at one place", pack(
        {"y": info("F32", [0], [0, 0]), "z": info("F32", [0], [0, 0]), "a": info()}, 4
    )
    yield "zero-size tensor at the end", pack({"a": info(), "z": info("F32", [0], [4, 4])}, 4)
    yield "zero-size tensor inside another", pack({"a": info(), "z": info("F32", [0], [2, 2])}, 4)
    yield "zero-size tensor past the end", pack({"a": info(), "z": info("F32", [0], [5, 5])}, 4)
    yield "zero-size tensor at 2^64-1", pack({"a": info(), "z": info("F32", [0], [2**64 - 1] * 2)}, 4)
    for name, text, size in [
        ("2^32 by 2^32", f"[{2**32},{2**32}]", 0), ("2^32 by 2^32 by 2^32", f"[{2**32},{2**32},{2**32}]", 4),
        ("product wraps to 4", f"[{2**63 + 2},2]", 4), ("2^64-1", f"[{2**64 - 1}]", 4), ("2^64", f"[{2**64}]", 4),
        ("2^61: the bits overflow, the bytes do not", f"[{2**61}]", 0), ("2^61-1", f"[{2**61 - 1}]", 0),
        ("zero, then an overflow", f"[0,{2**63},4]", 0), ("an overflow, then zero", f"[{2**63},4,0]", 0),
        ("2^61 and zero", f"[{2**61},0]", 0), ("2^64-1 and zero", f"[{2**64 - 1},0]", 0),
        ("2^64 and zero", f"[{2**64},0]", 0),
        ("negative", "[-4]", 4), ("two negatives", "[-2,-2]", 4), ("minus one", "[-1,4]", 4),
        ("minus zero", "[-0]", 0), ("fraction 4.0", "[4.0]", 4), ("fraction 4.5", "[4.5]", 4),
        ("exponent 4e0", "[4e0]", 4), ("exponent 4E0", "[4E0]", 4), ("leading zero", "[04]", 4),
        ("double zero", "[00]", 0), ("plus sign", "[+4]", 4), ("hexadecimal", "[0x4]", 4), ("1e999", "[1e999]", 4),
        ("string", '["4"]', 4), ("null element", "[null]", 4), ("boolean", "[true,4]", 4), ("null", "null", 1),
        ("number", "4", 4), ("object", "{}", 1), ("nested", "[[4]]", 4), ("empty string", '""', 1),
        ("trailing comma", "[4,]", 4), ("text", '"4"', 4),
    ]:  # fmt: skip
        yield f"shape: {name}", with_shape(text, size)
    yield "shape: bits overflow in F64 with zero last", pack({"a": info("F64", [2**63, 0], [0, 0])}, 0)


def dtypes() -> Iterator[Case]:
    """Every dtype with one and with eight elements; what is no dtype."""
    for name, bits in BITS.items():
        for count in (1, 8):
            size = -(-count * bits // 8)
            yield f"dtype {name}, {count} elements", pack({"a": info(name, [count], [0, size])}, size)
    for count, size in [(1, 0), (2, 1), (3, 1), (3, 2), (4, 2), (0, 0)]:
        yield f"F4, {count} elements in {size} bytes", pack({"a": info("F4", [count], [0, size])}, size)
    for count, size in [(1, 0), (2, 1), (2, 2), (3, 2), (3, 3), (4, 3), (4, 4), (12, 9), (0, 0)]:
        yield f"F6_E2M3, {count} elements in {size} bytes", pack({"a": info("F6_E2M3", [count], [0, size])}, size)
    yield "F4, odd last dimension, even product", pack({"a": info("F4", [2, 3], [0, 3])}, 3)
    for name in [
        "X32", "f32", "Bf16", "F32 ", " F32", "", "F8", "F8_E4M3FN", "F8_E4M3B11FNUZ", "F128", "BF32", "C128", "I4",
        "U4", "F4_E2M1", "float32", "BOOLEAN", "STRING", "F32\u0000",
    ]:  # fmt: skip
        yield f"unknown dtype {json.dumps(name)}", pack({"a": info(name, [4], [0, 16])}, 16)
    yield "dtype escaped", pack('{"a":{"dtype":"\\u0055\\u0038","shape":[4],"data_offsets":[0,4]}}', 4)
    for name, value in [("null", None), ("number", 0), ("array", ["U8"]), ("object of null", {"U8": None}),
                        ("object of object", {"U8": {}}), ("object of array", {"U8": []}),
                        ("object of number", {"U8": 1}), ("empty object", {}),
                        ("object of two", {"U8": None, "I8": None}), ("boolean", True)]:  # fmt: skip
        yield f"dtype as {name}", pack({"a": info(value)}, 4)


def fields() -> Iterator[Case]:
    """Missing, unknown and repeated fields of a tensor's entry."""
    full = info()
    for missing in full:
        yield f"without {missing}", pack({"a": {k: v for k, v in full.items() if k != missing}}, 4)
    yield "tensor info empty", pack({"a": {}})
    for name, value in [("null", None), ("string", "U8"), ("number", 4), ("boolean", True), ("empty array", []),
                        ("array of three", ["U8", [4], [0, 4]]), ("array of two", ["U8", [4]]),
                        ("array of four", ["U8", [4], [0, 4], 0]),
                        ("array in another order", [[4], "U8", [0, 4]])]:  # fmt: skip
        yield f"tensor info as {name}", pack({"a": value}, 4)
    yield "field in another order", pack('{"a":{"data_offsets":[0,4],"shape":[4],"dtype":"U8"}}', 4)
    yield "field name in capitals", pack('{"a":{"DTYPE":"U8","shape":[4],"data_offsets":[0,4]}}', 4)
    yield "field name escaped", pack('{"a":{"\\u0064type":"U8","shape":[4],"data_offsets":[0,4]}}', 4)
    yield "field named offsets", pack('{"a":{"dtype":"U8","shape":[4],"offsets":[0,4]}}', 4)
    for name, text in [
        ("string", '"x":"y"'), ("nested", '"x":{"y":[1,{"z":null}]}'), ("repeated", '"x":1,"x":2'),
        ("nested repeated", '"x":{"y":1,"y":2}'), ("empty name", '"":0'), ("true", '"x":true'),
        ("named __metadata__", '"__metadata__":{"a":1}'), ("number 0", '"x":0'), ("number -0", '"x":-0'),
        ("number -0.0", '"x":-0.0'), ("number 1.5e3", '"x":1.5e3'), ("number 1E2", '"x":1E2'),
        ("number 1E+2", '"x":1E+2'), ("number 1e999", '"x":1e999'), ("number -1e999", '"x":-1e999'),
        ("number 1.7976931348623157e308", '"x":1.7976931348623157e308'),
        ("number 1.7976931348623159e308", '"x":1.7976931348623159e308'), ("number 1e-999", '"x":1e-999'), ("number 0e999", '"x":0e999'), ("integer of 40 digits", f'"x":{10**39}'),
        ("integer of 400 digits", f'"x":{10**399}'), ("number 01", '"x":01'), ("number 1.", '"x":1.'),
        ("number .5", '"x":.5'), ("number 1e", '"x":1e'), ("number -", '"x":-'), ("number +1", '"x":+1'),
        ("NaN", '"x":NaN'), ("Infinity", '"x":Infinity'), ("-Infinity", '"x":-Infinity'), ("nul", '"x":nul'),
        ("True", '"x":True'), ("a lone surrogate", '"x":"\\ud800"'), ("no value", '"x":'), ("no colon", '"x"'),
        ("trailing comma", '"x":1,'), ("name that is a number", "1:1"), ("array with trailing comma", '"x":[1,]'),
        ("unclosed array", '"x":[1'), ("mismatched brackets", '"x":[1}'), ("bad escape in value", '"x":"\\q"'),
        ("raw tab in value", '"x":"\t"'),
    ]:  # fmt: skip
        yield f"unknown field: {name}", with_field(text)
    for depth in (100, 123, 124, 125, 126, 127, 128, 129, 1000):
        yield f"unknown field: {depth} arrays deep", with_field('"x":' + "[" * depth + "]" * depth)
        yield f"unknown field: {depth} objects deep", with_field('"x":' + '{"y":' * depth + "0" + "}" * depth)
    for name, first, second in [
        ("dtype", '"dtype":"U8"', '"dtype":"I8"'),
        ("shape", '"shape":[4]', '"shape":[2,2]'),
        ("data_offsets", '"data_offsets":[0,4]', '"data_offsets":[1,5]'),
    ]:
        yield f"{name} twice, equal", with_field(first)
        yield f"{name} twice, different", with_field(second)


def duplicates() -> Iterator[Case]:
    """A tensor's name twice. Last wins in the reference, but no merge may lean on that."""
    entry = '"a":{"dtype":"%s","shape":[4],"data_offsets":[%d,%d]}'
    u8, i8, later = entry % ("U8", 0, 4), entry % ("I8", 0, 4), entry % ("U8", 4, 8)
    yield "tensor twice, equal", pack("{%s,%s}" % (u8, u8), 4)
    yield "tensor twice, different dtype", pack("{%s,%s}" % (u8, i8), 4)
    yield "tensor twice, different offsets, last is at the start", pack("{%s,%s}" % (later, u8), 4)
    yield "tensor twice, different offsets, together without a hole", pack("{%s,%s}" % (u8, later), 8)
    yield "tensor twice, the first invalid alone", pack('{"a":{"dtype":"U8","shape":[9],"data_offsets":[3,1]},%s}' % u8, 4)
    yield "tensor twice, the last invalid alone", pack('{%s,"a":{"dtype":"U8","shape":[9],"data_offsets":[3,1]}}' % u8, 4)
    yield "tensor twice, the first not a tensor", pack('{"a":null,%s}' % u8, 4)
    yield "tensor twice, one name escaped", pack("{%s,%s}" % (u8, i8.replace('"a"', '"\\u0061"')), 4)
    yield "tensor thrice", pack("{%s,%s,%s}" % (u8, i8, u8), 4)
    yield "names differing in case", pack({"a": info("U8", [2], [0, 2]), "A": info("U8", [2], [2, 4])}, 4)
    yield "names equal after Unicode normalisation", pack(
        {"\u00e9": info("U8", [2], [0, 2]), "e\u0301": info("U8", [2], [2, 4])}, 4
    )


def metadata() -> Iterator[Case]:
    for name, text in [
        ("null", "null"), ("empty", "{}"), ("format pt", '{"format":"pt"}'), ("empty key and value", '{"":""}'),
        ("number value", '{"x":1}'), ("null value", '{"x":null}'), ("boolean value", '{"x":true}'),
        ("nested value", '{"x":{"y":"z"}}'), ("array value", '{"x":["y"]}'), ("key twice, equal", '{"x":"1","x":"1"}'),
        ("key twice, different", '{"x":"1","x":"2"}'), ("array", "[]"), ("array of pairs", '[["x","y"]]'),
        ("string", '"x"'), ("number", "1"), ("false", "false"), ("a tensor's entry", '{"dtype":"U8","shape":"[4]"}'),
        ("a real tensor's entry", '{"dtype":"U8","shape":[4],"data_offsets":[0,4]}'),
        ("NUL in value", '{"x":"\\u0000"}'), ("non-ASCII", '{"é":"\U0001f600"}'), ("lone surrogate", '{"x":"\\udfff"}'),
        ("key __metadata__", '{"__metadata__":"x"}'),
    ]:  # fmt: skip
        yield f"metadata: {name}", with_metadata(text)
    tail = '"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}'
    one = '"__metadata__":{"x":"1"}'
    yield "metadata alone", pack("{%s}" % one)
    yield "metadata alone with data", pack("{%s}" % one, 4)
    yield "metadata last", pack("{%s,%s}" % (tail, one), 4)
    yield "metadata twice, equal", pack("{%s,%s,%s}" % (one, one, tail), 4)
    yield "metadata twice, different", pack('{%s,"__metadata__":{"x":"2"},%s}' % (one, tail), 4)
    yield "metadata twice, first null", pack('{"__metadata__":null,%s,%s}' % (one, tail), 4)
    yield "metadata twice, both null", pack('{"__metadata__":null,"__metadata__":null,%s}' % tail, 4)
    yield "metadata, name escaped", pack('{"\\u005f_metadata__":{"x":"1"},%s}' % tail, 4)
    yield "metadata twice, one name escaped", pack('{%s,"\\u005f_metadata__":{"x":"1"},%s}' % (one, tail), 4)
    yield "metadata in capitals", pack('{"__METADATA__":{"x":"1"},%s}' % tail, 4)
    yield "metadata without underscores", pack('{"metadata":{"x":"1"},%s}' % tail, 4)


def padding() -> Iterator[Case]:
    """What stands before and after the object."""
    spaces = [("space", b" "), ("tab", b"\t"), ("newline", b"\n"), ("carriage return", b"\r"), ("mixed", b" \t\r\n "),
              ("NUL", b"\0"), ("form feed", b"\f"), ("vertical tab", b"\v"), ("no-break space", b"\xc2\xa0"),
              ("BOM", b"\xef\xbb\xbf"), ("comma", b","), ("letter", b"x"), ("brace", b"}"),
              ("another object", b"{}"), ("comment", b"/* */"), ("line comment", b"//\n"),
              ("invalid UTF-8", b"\xff"), ("DEL", b"\x7f")]  # fmt: skip
    text = ONE_TEXT.encode()
    for name, raw in spaces:
        yield f"{name} before the object", pack(raw + text, 4)
        yield f"{name} after the object", pack(text + raw, 4)
        yield f"{name} inside the object", pack(b"{" + raw + text[1:], 4)
    yield "4096 spaces after the object", pack(text + b" " * 4096, 4)
    yield "pretty-printed", pack(json.dumps(ONE, indent=2), 4)
    yield "only spaces", pack(" " * 8)


def syntax() -> Iterator[Case]:
    for name, text in [
        ("top-level array", "[]"), ("top-level array of a tensor", f"[{ONE_TEXT}]"), ("top-level null", "null"),
        ("top-level string", '"a"'), ("top-level number", "1"), ("unclosed object", ONE_TEXT[:-1]),
        ("one brace too many", ONE_TEXT + "}"), ("trailing comma", ONE_TEXT[:-1] + ",}"),
        ("leading comma", "{," + ONE_TEXT[1:]), ("single quotes", ONE_TEXT.replace('"', "'")),
        ("unquoted name", ONE_TEXT.replace('"a"', "a")), ("equals for colon", ONE_TEXT.replace('"a":', '"a"=')),
        ("missing comma", ONE_TEXT.replace(',"shape"', '"shape"')), ("missing colon", ONE_TEXT.replace('"a":', '"a"')),
        ("double colon", ONE_TEXT.replace('"a":', '"a"::')), ("unclosed string", '{"a'), ("only an opening brace", "{"),
        ("name that ends in a backslash", '{"a\\'), ("unclosed escape", '{"\\u00'),
    ]:  # fmt: skip
        yield name, pack(text, 4 if "dtype" in text else 0)
    yield "UTF-16 header", pack(ONE_TEXT.encode("utf-16-le"), 4)
    yield "Latin-1 header", with_name("é".encode("latin-1"))


def names() -> Iterator[Case]:
    for name, raw in [
        ("empty", b""), ("slash", b"a/b"), ("escaped slash", b"a\\/b"), ("dots", b"../../a"), ("space", b" "),
        ("escaped NUL", b"a\\u0000b"), ("raw NUL", b"a\0b"), ("escaped A", b"\\u0041"), ("all short escapes", b'\\"\\\\\\b\\f\\n\\r\\t'),
        ("raw newline", b"a\nb"), ("raw tab", b"a\tb"), ("raw 0x1F", b"a\x1fb"), ("raw DEL", b"a\x7fb"),
        ("raw U+0085", b"a\xc2\x85b"), ("raw U+2028", b"a\xe2\x80\xa8b"), ("non-ASCII", "größe.层.😀".encode()),
        ("surrogate pair", b"\\ud83d\\ude00"), ("surrogate pair, upper-case digits", b"\\uD83D\\uDE00"),
        ("lone high surrogate", b"\\ud83d"), ("lone low surrogate", b"\\ude00"), ("surrogates reversed", b"\\ude00\\ud83d"),
        ("high surrogate and a letter", b"\\ud83dx"), ("high surrogate and an escape", b"\\ud83d\\u0041"),
        ("two high surrogates", b"\\ud83d\\ud83d"), ("escaped U+FFFF", b"\\uffff"), ("escaped BOM", b"\\ufeff"),
        ("short escape", b"\\u004"), ("escape with a sign", b"\\u+041"), ("escape \\x41", b"\\x41"), ("escape \\q", b"\\q"),
        ("escape \\U", b"\\U00000041"), ("invalid UTF-8 byte 0xFF", b"\xff"), ("lone continuation byte", b"\x80"),
        ("overlong slash, two bytes", b"\xc0\xaf"), ("overlong NUL", b"\xc0\x80"), ("overlong slash, three bytes", b"\xe0\x80\xaf"),
        ("overlong, four bytes", b"\xf0\x80\x80\xaf"), ("surrogate in UTF-8", b"\xed\xa0\x80"),
        ("beyond U+10FFFF", b"\xf4\x90\x80\x80"), ("U+10FFFF", b"\xf4\x8f\xbf\xbf"), ("truncated sequence", b"\xe2\x82"),
        ("five-byte sequence", b"\xf8\x88\x80\x80\x80"), ("300 characters", b"a" * 300), ("__metadata", b"__metadata"),
    ]:  # fmt: skip
        yield f"name: {name}", with_name(raw)


def all_cases() -> list[Case]:
    groups = [lengths, offsets, shapes, dtypes, fields, duplicates, metadata, padding, syntax, names]
    cases = [case for group in groups for case in group()]
    seen = [name for name, _ in cases]
    assert len(seen) == len(set(seen)), "case names must be unique"
    return cases


def ask(content: bytes, scratch: Path) -> dict[str, Any]:
    """The reference's verdict, from memory and from a file.

    A panic of its Rust code reaches Python as BaseException; it counts as a
    refusal whose message says so.
    """
    verdict: dict[str, Any] = {"reference": "accepts", "message": ""}
    try:
        tensors = safetensors.deserialize(content)
        verdict["tensors"] = {
            name: [entry["dtype"], list(entry["shape"]), bytes(entry["data"]).hex()] for name, entry in sorted(tensors)
        }
    except Exception as error:  # noqa: BLE001 - whatever it raises is its answer
        verdict |= reference_error(error)
    except BaseException as error:  # noqa: BLE001
        if type(error).__name__ != "PanicException":
            raise
        verdict |= reference_error(error)
    scratch.write_bytes(content)
    opened = "accepts"
    try:
        with safetensors.safe_open(scratch, framework="np") as file:
            if (found := file.metadata()) is not None:
                verdict["metadata"] = dict(sorted(found.items()))
    except Exception:  # noqa: BLE001
        opened = "refuses"
    if opened != verdict["reference"]:
        verdict["safe_open"] = opened
    return verdict


def reference_error(error: BaseException) -> dict[str, str]:
    """The error as text. Which tensor it names can hang on the order of a hash map, so the name is left out."""
    prefix = "panic: " if type(error).__name__ == "PanicException" else ""
    text = str(error).removeprefix("Error while deserializing: ")
    return {"reference": "refuses", "message": prefix + re.sub(r"for tensor `.*`", "for a tensor", text, flags=re.S)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="fixture to write (JSON)")
    output: Path = parser.parse_args().output
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for name, content in all_cases():
            case = {"name": name, "base64": base64.b64encode(content).decode()}
            case |= ask(content, Path(folder) / "case.safetensors")
            lines.append(json.dumps(case, separators=(",", ":")))
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text("[\n" + ",\n".join(lines) + "\n]\n")
    accepted = sum('"reference":"accepts"' in line for line in lines)
    print(f"{len(lines)} cases, {accepted} accepted, {len(lines) - accepted} refused, safetensors {safetensors.__version__}")


if __name__ == "__main__":
    main()
