import Checkpoint
import Coordinator
import Deltas
import Planning
import TestSupport
import Testing
import Worker

/// A tensor as a view of a storage, and the same in order.
private struct View {
  let strided: PyTorchFile.Tensor
  let plain: TensorBytes

  init(_ name: String, _ dtype: DType, _ shape: [Int], strides: [Int], offset: Int, storage: [UInt8]) {
    let classes: [DType: String] = [.f32: "Float", .bf16: "BFloat16", .i64: "Long", .u8: "Byte"]
    let size = dtype.bits / 8
    let places = zip(shape, strides).reduce([offset]) { places, dimension in
      places.flatMap { place in (0..<dimension.0).map { place + $0 * dimension.1 } }
    }
    strided = .init(name, classes[dtype]!, shape: shape, bytes: storage, strides: strides, offset: offset)
    plain = TensorBytes(name, dtype, shape, places.flatMap { storage[$0 * size..<($0 + 1) * size] })
  }
}

@Suite("Merging strided tensors of PyTorch files")
struct StridedMergeTests {
  let workshop = Workshop()

  /// Views of which most cross shards, in a pair whose sides have the same names and shapes.
  private func write(_ side: String, seed: UInt64, stridedInPyTorch: Bool) {
    var random = SplitMix64(seed: seed)
    func view(_ name: String, _ dtype: DType, _ shape: [Int], _ strides: [Int], offset: Int = 0, count: Int) -> View {
      // Exponents of moderate floats in the last byte of each element.
      let size = dtype.bits / 8
      let storage = (0..<count * size).map { $0 % size == size - 1 && dtype != .u8 ? 0x3C : UInt8.random(in: 0...255, using: &random) }
      return View(name, dtype, shape, strides: strides, offset: offset, storage: storage)
    }
    let views = [
      view("a.transposed.weight", .bf16, [311, 257], [1, 311], count: 311 * 257), view("b.columns.weight", .f32, [200, 90], [131, 1], offset: 7, count: 131 * 200),
      view("c.expanded", .f32, [300, 70], [0, 1], offset: 3, count: 80), view("d.permuted", .bf16, [20, 30, 40], [40, 1, 1600], offset: 11, count: 65_000),
      view("e.overlapping", .f32, [150, 150], [3, 1], count: 700), view("f.index", .i64, [90, 100], [1, 90], count: 9000),
      view("g.bytes", .u8, [300, 500], [2, 700], offset: 1, count: 350_000), view("h.diagonal", .f32, [100], [101], count: 10_000),
    ]
    if stridedInPyTorch {
      workshop.folder.write(PyTorchFile.encode(views.map(\.strided)), to: "\(side)/pytorch_model.bin")
    } else {
      workshop.write(views.map(\.plain), to: side)
    }
  }

  private func writePairs(strided: [String]) {
    for (side, seed) in [("aligned", UInt64(1)), ("sft", 2)] {
      write(side, seed: seed, stridedInPyTorch: strided.contains(side))
      write("plain/\(side)", seed: seed, stridedInPyTorch: false)
    }
  }

  private func plainPlan(_ recipe: Recipe) throws -> Plan {
    try Plan(aligned: .open(workshop.folder("plain/aligned")), sft: .open(workshop.folder("plain/sft")), recipe: recipe)
  }

  @Test(
    "gives the bytes of the same tensors in order, and verifies", arguments: [["aligned"], ["sft"], ["aligned", "sft"]],
    [(ReadMethod.pread, nil), (.mmap, .f32)] as [(ReadMethod, DType?)])
  func sameBytes(strided: [String], how: (method: ReadMethod, dtype: DType?)) throws {
    writePairs(strided: strided)
    let recipe = Recipe(alpha: 0.3, dtype: how.dtype, shardSize: 65_536)
    let context = RunContext(threads: 2, readMethod: how.method)
    try workshop.merge(recipe, context: context)
    _ = try MergeJob(plan: plainPlan(recipe), output: workshop.folder("expected"), options: .init(), context: context).run()
    #expect(workshop.contents(of: "out")["model.safetensors"] == workshop.contents(of: "expected")["model.safetensors"])
    let verified = try Verification(workshop.output, context: context).recompute()
    #expect(verified.problems.isEmpty && verified.shards > 8)
  }

  @Test("a survey sees what the same pair in order shows")
  func survey() throws {
    writePairs(strided: ["aligned", "sft"])
    let context = RunContext(threads: 2)
    let found = try DeltaSurvey(workshop.plan(), share: 1, context).summary.total.sums
    let right = try DeltaSurvey(plainPlan(Recipe(alpha: 0.5)), share: 1, context).summary.total.sums
    #expect(found == right && found.largestDelta > 0)
  }

  @Test("a plan made again from its description gathers the same, and strides that do not fit are refused")
  func description() throws {
    writePairs(strided: ["sft"])
    let plan = try workshop.plan()
    let bytes = JobDescription(plan).encoded()
    let again = try JobDescription.plan(from: bytes)
    #expect(again.fingerprint == plan.fingerprint)
    #expect(again.segments(of: again.shard(1)) == plan.segments(of: plan.shard(1)))
    #expect(try plan.fingerprint != plainPlan(plan.recipe).fingerprint)
    let text = String(decoding: bytes, as: UTF8.self)
    for strides in ["[131,2]", "[131]", "[-131,1]", "[131,9223372036854775807]", "[132,1]", "[268435456,1]"] {
      let changed = text.replacing("\"strides\":[131,1]", with: "\"strides\":\(strides)")
      #expect(changed != text)
      #expect(try codes { _ = try JobDescription.plan(from: Array(changed.utf8)) } == [.descriptionInvalid], "\(strides)")
    }
  }
}
