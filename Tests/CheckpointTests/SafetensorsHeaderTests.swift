import Checkpoint
import Diagnostics
import Foundation
import Testing

/// A file made by Scripts/python/safetensors_cases.py, with the reference reader's verdict.
private struct ReferenceCase: Decodable {
  let name: String
  let base64: String
  let reference: String
  let message: String?

  var bytes: [UInt8] { Array(Data(base64Encoded: base64)!) }

  static func load() throws -> [ReferenceCase] {
    let url = Bundle.module.url(forResource: "safetensors-cases", withExtension: "json", subdirectory: "Fixtures")!
    return try JSONDecoder().decode([ReferenceCase].self, from: Data(contentsOf: url))
  }
}

private func parse(_ bytes: [UInt8]) throws(Failure) -> SafetensorsHeader {
  let length = try SafetensorsHeader.jsonLength(
    prefix: Array(bytes.prefix(8)), fileSize: bytes.count, file: "x.safetensors")
  let json = Array(bytes[8..<8 + length])
  let result: Result<SafetensorsHeader, Failure> = json.withUnsafeBufferPointer { buffer in
    do throws(Failure) {
      return .success(try SafetensorsHeader.parse(json: buffer, fileSize: bytes.count, file: "x.safetensors"))
    } catch {
      return .failure(error)
    }
  }
  return try result.get()
}

private func file(_ json: String, data: Int = 4) -> [UInt8] {
  let json = Array(json.utf8)
  return withUnsafeBytes(of: UInt64(json.count).littleEndian) { Array($0) } + json
    + [UInt8](repeating: 0, count: data)
}

@Suite("safetensors headers")
struct SafetensorsHeaderTests {
  /// Where expomerge is stricter than the reference on purpose (docs/file-formats.md).
  static let stricter: Set<String> = [
    "dtype as object of null", "tensor info as array of three",
    "tensor twice, equal", "tensor twice, different dtype", "tensor twice, different offsets, last is at the start",
    "tensor twice, the first invalid alone", "tensor twice, one name escaped", "tensor thrice",
    "names equal after Unicode normalisation", "metadata: key twice, different", "shape: 2^64-1 and zero",
    "shape: zero, then an overflow", "shape: bits overflow in F64 with zero last",
  ]

  @Test("agree with the reference reader on every file made for it")
  func reference() throws {
    let cases = try ReferenceCase.load()
    #expect(cases.count > 300)
    for reference in cases {
      let comment = Comment(rawValue: "\(reference.name): \(reference.message ?? "")")
      let accepts = (try? parse(reference.bytes)) != nil
      let expected = reference.reference == "accepts" && !Self.stricter.contains(reference.name)
      #expect(accepts == expected, comment)
    }
    let names = Set(cases.map(\.name))
    #expect(Self.stricter.isSubset(of: names))
  }

  static let refusals: [(String, Problem.Code, [UInt8])] = [
    ("seven bytes", .headerTooShort, [1, 2, 3, 4, 5, 6, 7]),
    ("a header over the limit", .headerTooLarge, [1, 0xE1, 0xF5, 5, 0, 0, 0, 0]),
    ("a header longer than the file", .headerBeyondFile, [9, 0, 0, 0, 0, 0, 0, 0, 0x7B, 0x7D]),
    ("bytes that are not UTF-8", .headerNotUTF8, [5, 0, 0, 0, 0, 0, 0, 0, 0x7B, 0x22, 0xFF, 0x22, 0x7D]),
    ("NUL padding", .headerNotJSON, file("{}\0", data: 0)),
    ("a byte order mark", .headerNotJSON, file("\u{FEFF}{}", data: 0)),
    ("metadata that are not strings", .metadataInvalid, file(#"{"__metadata__":{"a":1}}"#, data: 0)),
    ("metadata keys that disagree", .metadataInvalid, file(#"{"__metadata__":{"a":"1","a":"2"}}"#, data: 0)),
    ("a tensor without a shape", .tensorInvalid, file(#"{"a":{"dtype":"F32","data_offsets":[0,4]}}"#)),
    (
      "a tensor named twice", .tensorDuplicated,
      file(#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}"#)
    ),
    ("an unknown dtype", .dtypeUnknown, file(#"{"a":{"dtype":"F31","shape":[],"data_offsets":[0,4]}}"#)),
    ("a negative dimension", .shapeInvalid, file(#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#)),
    ("a fractional dimension", .shapeInvalid, file(#"{"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}}"#)),
    (
      "a shape whose size overflows", .shapeOverflows,
      file(#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]}}"#)
    ),
    ("one offset", .offsetsInvalid, file(#"{"a":{"dtype":"F32","shape":[],"data_offsets":[4]}}"#)),
    (
      "offsets over 64 bits", .offsetsInvalid,
      file(#"{"a":{"dtype":"F32","shape":[],"data_offsets":[0,18446744073709551616]}}"#)
    ),
    ("reversed offsets", .offsetsReversed, file(#"{"a":{"dtype":"F32","shape":[],"data_offsets":[4,0]}}"#)),
    ("a hole", .offsetsLeaveHole, file(#"{"a":{"dtype":"U8","shape":[3],"data_offsets":[1,4]}}"#)),
    (
      "an overlap", .offsetsOverlap,
      file(
        #"{"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}"#)
    ),
    ("a size that is not the shape's", .sizeMismatch, file(#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#)),
    ("part of a byte", .partOfByte, file(#"{"a":{"dtype":"F4","shape":[1],"data_offsets":[0,1]}}"#, data: 1)),
    ("missing data", .dataMissing, file(#"{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}"#, data: 3)),
    ("trailing data", .dataTrailing, file(#"{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}"#, data: 5)),
  ]

  @Test("refuse, each with an error of its own that names the place", arguments: refusals)
  func refusal(name: String, code: Problem.Code, bytes: [UInt8]) throws {
    let failure = #expect(throws: Failure.self) { try parse(bytes) }
    let problem = try #require(failure?.problems.first)
    #expect(problem.code == code)
    #expect(problem.file == "x.safetensors")
    #expect(problem.remedy != nil)
    let aboutTensor: Set<Problem.Code> = [
      .tensorInvalid, .tensorDuplicated, .dtypeUnknown, .shapeInvalid, .shapeOverflows, .offsetsInvalid,
      .offsetsReversed, .offsetsLeaveHole, .offsetsOverlap, .sizeMismatch, .partOfByte, .dataMissing,
    ]
    if aboutTensor.contains(code) { #expect(problem.tensor != nil) }
    if code != .headerTooShort { #expect(problem.byte != nil) }
  }

  @Test("give names, shapes and places in the order of the data")
  func content() throws {
    let header = try parse(
      file(
        #" {"b":{"shape":[2],"dtype":"I8","data_offsets":[2,4]},"__metadata__":{"format":"pt"},"a":{"dtype":"BF16","shape":[],"extra":[{}],"data_offsets":[0,2]}} "#
      ))
    #expect(header.tensors.map(\.name) == ["a", "b"])
    #expect(header.tensors[0].shape == [])
    #expect(header.tensors[1].range == 2..<4)
    #expect(header.metadata == ["format": "pt"])
  }

  @Test("survive being written and read, whatever the names")
  func roundTrip() throws {
    let names = ["model.layers.0.mlp.weight", "quote\"back\\slash", "control\u{1}\u{1F}", "é", "日本", "😀", ""]
    let tensors = names.enumerated().map { index, name in
      SafetensorsHeader.Tensor(name: name, dtype: .u8, shape: [2, 3], range: index * 6..<index * 6 + 6)
    }
    let bytes = SafetensorsHeader.encode(tensors: tensors, metadata: ["format": "pt"])
    #expect(bytes.count % 4096 == 0)
    let header = try parse(bytes + [UInt8](repeating: 0, count: names.count * 6))
    #expect(header.tensors == tensors)
    #expect(header.metadata == ["format": "pt"])
    #expect(header.dataStart == bytes.count)
  }

  @Test("of 100,000 tensors are read")
  func large() throws {
    let tensors = (0..<100_000).map { index in
      SafetensorsHeader.Tensor(
        name: "model.layers.\(index / 1000).mlp.experts.\(index % 1000).down_proj.weight", dtype: .bf16,
        shape: [0, 2048], range: 0..<0)
    }
    let header = try parse(SafetensorsHeader.encode(tensors: tensors, metadata: [:]))
    #expect(header.tensors.count == 100_000)
  }
}
