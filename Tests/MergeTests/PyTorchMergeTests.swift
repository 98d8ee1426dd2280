import Checkpoint
import Coordinator
import Glibc
import SystemPackage
import TestSupport
import Testing
import Worker

extension Workshop {
  /// Rewrites a side as PyTorch files, its tensors dealt to them in turn.
  func convertToPyTorch(_ side: String, files: Int = 1) throws {
    let source = folder("\(side)/model.safetensors")
    let contents = try #require(TemporaryFolder.contents(source))
    let classes: [DType: String] = [.f32: "Float", .bf16: "BFloat16", .f16: "Half", .i64: "Long"]
    var dealt = [[PyTorchFile.Tensor]](repeating: [], count: files)
    var map: [String] = []
    for (index, tensor) in try Checkpoint.open(source).tensors.enumerated() {
      let storage = try #require(classes[tensor.dtype])
      dealt[index % files].append(.init(tensor.name, storage, shape: tensor.shape, bytes: Array(contents[tensor.range])))
      map.append("\"\(tensor.name)\": \"\(Self.name(index % files, of: files))\"")
    }
    for (number, tensors) in dealt.enumerated() {
      folder.write(PyTorchFile.encode(tensors), to: "\(side)/\(Self.name(number, of: files))")
    }
    if files > 1 {
      folder.write("{\"weight_map\": {\(map.joined(separator: ", "))}}", to: "\(side)/pytorch_model.bin.index.json")
    }
    try #require(unlink(source.string) == 0)
  }

  private static func name(_ number: Int, of files: Int) -> String {
    files == 1 ? "pytorch_model.bin" : "pytorch_model-0000\(number + 1)-of-0000\(files).bin"
  }
}

@Suite("Merging PyTorch files")
struct PyTorchMergeTests {
  let workshop = Workshop()

  @Test(
    "gives the bytes of the same tensors in safetensors, and verifies", arguments: [["aligned"], ["sft"], ["aligned", "sft"]],
    [(1, ReadMethod.pread), (2, .mmap)])
  func sameBytes(sides: [String], how: (files: Int, method: ReadMethod)) throws {
    workshop.writeUsualPair()
    try workshop.merge(to: "expected")
    for side in sides { try workshop.convertToPyTorch(side, files: how.files) }
    let context = RunContext(threads: 2, readMethod: how.method)
    try workshop.merge(context: context)
    let (merged, expected) = (workshop.contents(of: "out"), workshop.contents(of: "expected"))
    #expect(merged["model.safetensors"] == expected["model.safetensors"])
    #expect(merged.keys.sorted() == expected.keys.sorted())
    let verified = try Verification(workshop.output, context: context).recompute()
    #expect(verified.problems.isEmpty && verified.shards > 10)
  }

  @Test("computes in the dtypes of the tensors, and copies integers")
  func dtypes() throws {
    let halves: [UInt8] = [0x80, 0x3F, 0x00, 0x40]  // 1 and 2 in BF16
    let others = [TensorBytes("n", .i64, [], [9, 0, 0, 0, 0, 0, 0, 0]), TensorBytes("e", .f16, [0, 3], [])]
    workshop.writePair(
      aligned: [TensorBytes("w", .bf16, [2], halves)] + others, sft: [TensorBytes("w", [0.5, 4])] + others)
    for side in ["aligned", "sft"] { try workshop.convertToPyTorch(side) }
    try workshop.merge()
    let checkpoint = try Checkpoint.open(workshop.output)
    let bytes = try #require(TemporaryFolder.contents(workshop.output.appending("model.safetensors")))
    let tensors = Dictionary(uniqueKeysWithValues: checkpoint.tensors.map { ($0.name, Array(bytes[$0.range])) })
    // 1 + 0.5 (1 - 0.5) and 2 + 0.5 (2 - 4).
    #expect(tensors == ["w": [0xA0, 0x3F, 0x80, 0x3F], "n": [9, 0, 0, 0, 0, 0, 0, 0], "e": []])
  }

  @Test("writes tied tensors each for itself")
  func tied() throws {
    func write(_ value: UInt8, to side: String) {
      let embedding = PyTorchFile.Tensor("model.embed_tokens.weight", "Float", shape: [1, 1], bytes: [0, 0, value, 0x3F])
      let file = PyTorchFile.encode([embedding, .init("lm_head.weight", tiedTo: embedding)])
      workshop.folder.write(file, to: "\(side)/pytorch_model.bin")
    }
    write(0x80, to: "aligned")
    write(0x00, to: "sft")
    #expect(try workshop.plan().aligned.warnings.map(\.code) == [.tensorsShared])
    try workshop.merge()
    #expect(try workshop.values("model.embed_tokens.weight") == [1.25])
    #expect(try workshop.values("lm_head.weight") == [1.25])
  }

  @Test("a file that has changed since is found when computing again")
  func changed() throws {
    workshop.writeUsualPair()
    try workshop.convertToPyTorch("aligned")
    try workshop.merge()
    var contents = try #require(TemporaryFolder.contents(workshop.folder("aligned/pytorch_model.bin")))
    for place in contents.indices.dropFirst(10_000).dropLast(10_000) where place % 100 == 0 { contents[place] ^= 1 }
    workshop.folder.write(contents, to: "aligned/pytorch_model.bin")
    #expect(try codes { _ = try Verification(workshop.output, context: RunContext(threads: 2)).recompute() } == [.inputChanged])
  }
}
