import Checkpoint
import Diagnostics
import Glibc
import SystemPackage
import TestSupport
import Testing

/// A safetensors file with tensors of one U8 element.
private func weights(_ names: [String]) -> [UInt8] {
  let tensors = names.enumerated().map { index, name in
    SafetensorsHeader.Tensor(name: name, dtype: .u8, shape: [1], range: index..<index + 1)
  }
  return SafetensorsHeader.encode(tensors: tensors, metadata: ["format": "pt"], alignment: 8)
    + [UInt8](repeating: 7, count: names.count)
}

private func index(_ map: [(String, String)]) -> String {
  "{\"weight_map\": {" + map.map { "\"\($0)\": \"\($1)\"" }.joined(separator: ", ") + "}}"
}

@Suite("Checkpoint folders")
struct CheckpointFolderTests {
  let folder = TemporaryFolder()

  private func problems() throws -> [Problem] {
    do {
      _ = try Checkpoint.open(folder.path)
      return []
    } catch let failure as Failure {
      return failure.problems
    }
  }

  @Test("a single file")
  func single() throws {
    folder.write(weights(["a", "b"]), to: "model.safetensors")
    let checkpoint = try Checkpoint.open(folder.path)
    #expect(checkpoint.tensors.map(\.name) == ["a", "b"])
    #expect(checkpoint.files.map(\.name) == ["model.safetensors"])
    #expect(checkpoint.config == nil)
    #expect(try Checkpoint.open(folder("model.safetensors")).tensors == checkpoint.tensors)
  }

  @Test("files with an index")
  func indexed() throws {
    folder.write(weights(["a"]), to: "model-00001-of-00002.safetensors")
    folder.write(weights(["b", "c"]), to: "model-00002-of-00002.safetensors")
    folder.write(
      index([
        ("a", "model-00001-of-00002.safetensors"), ("b", "model-00002-of-00002.safetensors"),
        ("c", "model-00002-of-00002.safetensors"),
      ]), to: "model.safetensors.index.json")
    folder.write(weights(["z"]), to: "consolidated.safetensors")
    let checkpoint = try Checkpoint.open(folder.path)
    #expect(checkpoint.tensors.map(\.name) == ["a", "b", "c"])
    #expect(checkpoint.warnings.map(\.code) == [.fileNotInIndex])
  }

  @Test("numbered files that lost their index are read, with a warning")
  func withoutIndex() throws {
    folder.write(weights(["a"]), to: "model-00001-of-00002.safetensors")
    folder.write(weights(["b"]), to: "model-00002-of-00002.safetensors")
    let checkpoint = try Checkpoint.open(folder.path)
    #expect(checkpoint.tensors.map(\.name) == ["a", "b"])
    #expect(checkpoint.warnings.map(\.code) == [.indexInvalid])
  }

  @Test("an index that names files and tensors that are missing: all at once")
  func missing() throws {
    folder.write(weights(["a"]), to: "one.safetensors")
    folder.write(
      index([("a", "one.safetensors"), ("gone", "one.safetensors"), ("b", "two.safetensors"), ("c", "three.safetensors")]),
      to: "model.safetensors.index.json")
    let found = try problems()
    #expect(found.map(\.code) == [.checkpointFileMissing, .checkpointFileMissing, .checkpointTensorMissing])
    #expect(found.map(\.tensor) == [nil, nil, "gone"])
    #expect(found[0].file == folder("three.safetensors").string)
  }

  @Test("a tensor that is in a file but not in the index")
  func unlisted() throws {
    folder.write(weights(["a", "extra"]), to: "one.safetensors")
    folder.write(index([("a", "one.safetensors")]), to: "model.safetensors.index.json")
    let found = try problems()
    #expect(found.map(\.code) == [.tensorNotInIndex])
    #expect(found[0].tensor == "extra")
  }

  @Test("a tensor in two files: the index decides, and without one it is refused")
  func twice() throws {
    folder.write(weights(["a", "b"]), to: "model-00001-of-00002.safetensors")
    folder.write(weights(["b"]), to: "model-00002-of-00002.safetensors")
    #expect(try problems().map(\.code) == [.tensorDuplicated])
    folder.write(
      index([("a", "model-00001-of-00002.safetensors"), ("b", "model-00002-of-00002.safetensors")]),
      to: "model.safetensors.index.json")
    let checkpoint = try Checkpoint.open(folder.path)
    #expect(checkpoint.tensors.map(\.name) == ["a", "b"])
    #expect(checkpoint.tensors.map(\.file) == [0, 1])
  }

  @Test("two indices are one too many")
  func twoIndices() throws {
    folder.write(weights(["a"]), to: "model.safetensors")
    folder.write(index([("a", "model.safetensors")]), to: "model.safetensors.index.json")
    folder.write(index([("a", "model.safetensors")]), to: "other.safetensors.index.json")
    #expect(try problems().map(\.code) == [.checkpointAmbiguous])
  }

  @Test("a whole model besides an index of other files is refused")
  func wholeBesidesIndex() throws {
    folder.write(weights(["a"]), to: "model.safetensors")
    folder.write(weights(["a"]), to: "one.safetensors")
    folder.write(index([("a", "one.safetensors")]), to: "model.safetensors.index.json")
    #expect(try problems().map(\.code) == [.checkpointAmbiguous])
  }

  @Test("several files without order are refused")
  func several() throws {
    folder.write(weights(["a"]), to: "x.safetensors")
    folder.write(weights(["b"]), to: "y.safetensors")
    #expect(try problems().map(\.code) == [.checkpointAmbiguous])
  }

  @Test("weights in other formats are named, with the way to convert them")
  func otherFormats() throws {
    folder.write("x", to: "consolidated.00.pth")
    folder.write("x", to: "training_args.bin")
    let found = try problems()
    #expect(found.map(\.code) == [.checkpointFormatOther])
    #expect(found[0].remedy?.contains("save_pretrained") == true)
  }

  @Test("a PyTorch file, and several with and without an index")
  func pyTorch() throws {
    func file(_ names: [String]) -> [UInt8] { PyTorchFile.encode(names.map { .init($0, "Byte", shape: [1], bytes: [7]) }) }
    folder.write("no weights", to: "training_args.bin")
    folder.write(file(["b", "a"]), to: "pytorch_model.bin")
    let single = try Checkpoint.open(folder.path)
    #expect(single.files.map(\.name) == ["pytorch_model.bin"])
    #expect(single.tensors.map(\.name) == ["b", "a"])
    #expect(single.warnings.isEmpty)

    let series = TemporaryFolder()
    series.write(file(["a"]), to: "pytorch_model-00001-of-00002.bin")
    series.write(file(["b", "c"]), to: "pytorch_model-00002-of-00002.bin")
    let unindexed = try Checkpoint.open(series.path)
    #expect(unindexed.tensors.map(\.name) == ["a", "b", "c"])
    #expect(unindexed.warnings.map(\.code) == [.indexInvalid])
    let names = [("a", "pytorch_model-00001-of-00002.bin"), ("b", "pytorch_model-00002-of-00002.bin"), ("c", "pytorch_model-00002-of-00002.bin")]
    series.write(index(names), to: "pytorch_model.bin.index.json")
    let indexed = try Checkpoint.open(series.path)
    #expect(indexed.tensors == unindexed.tensors)
    #expect(indexed.warnings.isEmpty)
  }

  @Test("safetensors are preferred to PyTorch files, whatever is in those")
  func preference() throws {
    folder.write(weights(["a"]), to: "model.safetensors")
    folder.write("x", to: "pytorch_model.bin")
    folder.write("x", to: "pytorch_model.bin.index.json")
    let checkpoint = try Checkpoint.open(folder.path)
    #expect(checkpoint.files.map(\.name) == ["model.safetensors"])
    #expect(checkpoint.companions.isEmpty)
  }

  @Test("an empty folder, and none")
  func empty() throws {
    #expect(try problems().map(\.code) == [.checkpointMissing])
    let failure = #expect(throws: Failure.self) { try Checkpoint.open(folder("nothing")) }
    #expect(failure?.category == .inputNotFound)
  }

  @Test(
    "an index that leads elsewhere or is not one is refused",
    arguments: [
      #"{"weight_map": {"a": "../../etc/passwd"}}"#, #"{"weight_map": {"a": "/etc/passwd"}}"#,
      #"{"weight_map": {"a": ".."}}"#, #"{"weight_map": {"a": ""}}"#, #"{"weight_map": {"a": 1}}"#,
      #"{"weight_map": {}}"#, #"{}"#, #"[]"#, "", #"{"weight_map": {"a": "x.safetensors"}} trailing"#,
      #"{"weight_map": {"a": "x.safetensors", "a": "y.safetensors"}}"#,
    ])
  func badIndex(json: String) throws {
    folder.write(weights(["a"]), to: "x.safetensors")
    folder.write(json, to: "model.safetensors.index.json")
    #expect(try problems().map(\.code) == [.indexInvalid])
  }

  @Test("a damaged file is named among the others")
  func damaged() throws {
    folder.write(weights(["a"]), to: "model-00001-of-00003.safetensors")
    folder.write(Array(weights(["b"]).dropLast()), to: "model-00002-of-00003.safetensors")
    folder.write([1, 2, 3], to: "model-00003-of-00003.safetensors")
    let found = try problems()
    #expect(found.map(\.code) == [.dataMissing, .headerTooShort])
    #expect(found[0].file == folder("model-00002-of-00003.safetensors").string)
  }

  @Test("what cannot be copied is said")
  func leftOut() throws {
    folder.write(weights(["a"]), to: "model.safetensors")
    folder.write("x", to: "real/file")
    symlink("nowhere", folder("broken.json").string)
    symlink("real", folder("linked").string)
    let checkpoint = try Checkpoint.open(folder.path)
    #expect(checkpoint.companions.map(\.path) == ["real/file"])
    #expect(checkpoint.warnings.map(\.code) == [.fileLeftOut, .fileLeftOut])
  }

  @Test("more elements than any model has are refused")
  func tooMany() throws {
    let size = (1 << 56) - 8
    let header = SafetensorsHeader.encode(
      tensors: [.init(name: "a", dtype: .f4, shape: [size], range: 0..<size / 2)], metadata: [:], alignment: 8)
    folder.write(header, to: "model.safetensors")
    // Only some filesystems have such files.
    guard truncate(folder("model.safetensors").string, off_t(header.count + size / 2)) == 0 else { return }
    #expect(try problems().map(\.code) == [.shapeOverflows])
  }

  @Test("companions are what a copy of the model needs, and no weights")
  func companions() throws {
    folder.write(weights(["a"]), to: "model.safetensors")
    let copied = ["config.json", "tokenizer.json", "merges.txt", "modeling.py", "sub/deep/params.json", ".gitattributes"]
    let left = [
      "README.md", "training_args.bin", "optimizer.pt", "x.gguf", "flax_model.msgpack", "tf_model.h5", "onnx/model.onnx",
      ".git/config", ".cache/lock", "pytorch_model.bin.index.json", "expomerge.json", "SHA256SUMS", "sub/other.safetensors",
    ]
    for name in copied + left { folder.write("{}", to: name) }
    let checkpoint = try Checkpoint.open(folder.path)
    #expect(Set(checkpoint.companions.map(\.path)) == Set(copied))
    #expect(checkpoint.skipped.isEmpty)
  }
}

@Suite("config.json")
struct ModelConfigTests {
  private func config(_ json: String) throws -> ModelConfig {
    try ModelConfig(json: Array(json.utf8), file: "config.json")
  }

  private func converted(_ json: String) throws -> String {
    String(decoding: try config(json).json(withDType: "float32"), as: UTF8.self)
  }

  @Test("follows the output's dtype, and keeps everything else to the letter")
  func dtype() throws {
    #expect(try converted(#"{ "a": 1.0e3,"torch_dtype" :  "bfloat16" }"#) == #"{ "a": 1.0e3,"torch_dtype" :  "float32" }"#)
    #expect(
      try converted(#"{"dtype":"float16","text_config":{"dtype":"bfloat16"},"quantization_config":{"dtype":"float16"}}"#)
        == #"{"dtype":"float32","text_config":{"dtype":"float32"},"quantization_config":{"dtype":"float16"}}"#)
    #expect(try converted(#"{"a":1}"#) == "{\n  \"torch_dtype\": \"float32\",\"a\":1}")
    #expect(try converted(#"{"torch_dtype":null}"#) == #"{"torch_dtype":"float32"}"#)
    #expect(try converted(#"{"dtype":"auto"}"#) == #"{"dtype":"float32"}"#)
    #expect(
      try converted(#"{"text_config":{"dtype":"float16","other":{"dtype":"int8"}}}"#)
        == "{\n  \"torch_dtype\": \"float32\",\"text_config\":{\"dtype\":\"float32\",\"other\":{\"dtype\":\"int8\"}}}")
    #expect(try converted("{}") == "{\n  \"torch_dtype\": \"float32\"}")
  }

  @Test(
    "says how weights are quantised",
    arguments: [
      (#"{"quantization_config":{"quant_method":"fp8","fmt":"e4m3","weight_block_size":[128, 64]}}"#, "fp8", [128, 64]),
      (#"{"text_config":{"quantization_config":{"weight_block_size":[1,2,3],"quant_method":"fp8"}}}"#, "fp8", []),
      (#"{"quantization_config":{"quant_method":"fp8","weight_block_size":null}}"#, "fp8", []),
      (#"{"quantization_config":{"quant_method":"fp8","weight_block_size":["a",1]}}"#, "fp8", []),
      (#"{"quantization_config":{"quant_method":"gptq","bits":4}}"#, "gptq", nil),
      (#"{"quantization_config":{"load_in_8bit":true}}"#, nil, nil), (#"{"compression_config":{"a":1}}"#, "compressed-tensors", nil),
      (#"{"quantization_config":{"quant_method":"fp8"},"compression_config":{}}"#, "compressed-tensors", nil),
      (#"{"compression_config":{},"text_config":{"quantization_config":{"quant_method":"fp8"}}}"#, "compressed-tensors", nil),
    ] as [(String, String?, [Int]?)])
  func quantisation(json: String, method: String?, blockSize: [Int]?) throws {
    #expect(try config(json).quantisation == Quantisation(method: method, blockSize: blockSize))
  }

  @Test(
    "says that they are not",
    arguments: ["{}", #"{"quantization_config":null}"#, #"{"other":{"quantization_config":{"quant_method":"gptq"}}}"#])
  func notQuantised(json: String) throws {
    #expect(try config(json).quantisation == nil)
  }

  @Test(
    "loses its quantisation with its comma, wherever it stands",
    arguments: [
      (#"{"quantization_config": {"a": [1]}, "dtype": "float16"}"#, #"{"dtype": "bfloat16"}"#),
      (#"{"dtype": "float16", "quantization_config": {}, "b": 1}"#, #"{"dtype": "bfloat16", "b": 1}"#),
      ("{\"dtype\": \"float16\",\n  \"quantization_config\": {}\n}", "{\"dtype\": \"bfloat16\"\n}"),
      (#"{"quantization_config":{}}"#, "{\n  \"torch_dtype\": \"bfloat16\"}"),
      (
        #"{"dtype":null,"text_config":{"quantization_config":{},"x":1},"quantization_config":{}}"#,
        #"{"dtype":"bfloat16","text_config":{"x":1}}"#
      ),
    ])
  func dequantised(json: String, expected: String) throws {
    #expect(String(decoding: try config(json).json(withDType: "bfloat16", isDequantised: true), as: UTF8.self) == expected)
  }

  @Test("keeps its dtype where no other is written, and is refused where two members say how it is quantised")
  func dequantisedOnly() throws {
    let json = #"{"a":1,"quantization_config":{},"dtype":"float16"}"#
    #expect(try String(decoding: config(json).json(withDType: nil, isDequantised: true), as: UTF8.self) == #"{"a":1,"dtype":"float16"}"#)
    #expect(throws: Failure.self) { try config(#"{"quantization_config":{},"quantization_config":{}}"#) }
  }

  @Test("says whether the head is tied")
  func ties() throws {
    #expect(try config(#"{"tie_word_embeddings":true}"#).tiesWordEmbeddings == true)
    #expect(try config(#"{"text_config":{"tie_word_embeddings":true}}"#).tiesWordEmbeddings == true)
    #expect(
      try config(#"{"text_config":{"tie_word_embeddings":true},"tie_word_embeddings":false}"#).tiesWordEmbeddings
        == false)
    #expect(try config(#"{"other":{"tie_word_embeddings":true}}"#).tiesWordEmbeddings == nil)
    #expect(try config(#"{"tie_word_embeddings":null}"#).tiesWordEmbeddings == nil)
  }

  @Test("is refused when it is not JSON, with the byte")
  func invalid() throws {
    let failure = #expect(throws: Failure.self) { try config(#"{"a": tru}"#) }
    #expect(failure?.problems.first?.code == .configInvalid)
    #expect(failure?.problems.first?.byte == 6)
  }
}
