import Checkpoint
import Coordinator
import Deltas
import Glibc
import Kernels
import Planning
import TestSupport
import Testing
import Worker

/// A matrix in F8_E4M3 with its scales, and the same in F32.
private struct QuantisedMatrix {
  let tensors: [TensorBytes]
  let plain: TensorBytes

  init(_ name: String, _ shape: [Int], block: [Int], _ random: inout SplitMix64) {
    let grid = zip(shape, block).map { ($0 + $1 - 1) / $1 }
    let codes = (0..<shape[0] * shape[1]).map { _ in UInt8.random(in: 0...255, using: &random) }
    let scales = (0..<grid[0] * grid[1]).map { _ in Float.random(in: 0.001...0.01, using: &random) }
    tensors = [TensorBytes(name, .f8E4M3, shape, codes), TensorBytes(name + "_scale_inv", scales, shape: grid)]
    let values = codes.enumerated().map { place, code in
      Self.value(code) * scales[place / shape[1] / block[0] * grid[1] + place % shape[1] / block[1]]
    }
    plain = TensorBytes(name, values, shape: shape)
  }

  /// By the definition of the format: a sign, 4 bits of exponent with a bias of 7, 3 of mantissa, NaN where all are set.
  private static func value(_ code: UInt8) -> Float {
    let (exponent, mantissa) = (Int(code >> 3 & 15), Float(code & 7))
    if code & 0x7F == 0x7F { return .nan }
    let magnitude = exponent == 0 ? mantissa * 0x1p-9 : (1 + mantissa / 8) * Float(pow(2, Double(exponent - 7)))
    return code & 0x80 == 0 ? magnitude : -magnitude
  }
}

@Suite("Merging FP8 with block scales")
struct BlockScalesMergeTests {
  let workshop = Workshop()

  private func config(_ block: [Int]) -> String {
    #"{"torch_dtype": "float16", "quantization_config": {"quant_method": "fp8", "weight_block_size": [\#(block[0]), \#(block[1])]}}"#
  }

  /// A pair in which these sides are quantised, and the same pair in F32.
  private func writePairs(block: [Int], sides: [String]) {
    var random = SplitMix64(seed: UInt64(block[0]))
    for side in ["aligned", "sft"] {
      let matrices = [("b.weight", [300, 517]), ("a.weight", [129, 1]), ("c.weight", [1, 5000])].map {
        QuantisedMatrix($0.0, $0.1, block: block, &random)
      }
      let norm = TensorBytes("norm", [1, 2, 3])
      let (plain, quantised) = (matrices.map(\.plain) + [norm], matrices.flatMap(\.tensors) + [norm])
      workshop.write(sides.contains(side) ? quantised.reversed() : plain, to: side)
      workshop.folder.write(sides.contains(side) ? config(block) : "{}", to: "\(side)/config.json")
      workshop.write(plain, to: "plain/\(side)")
    }
  }

  /// Of the same pair in F32.
  private func expected(_ recipe: Recipe) throws -> [UInt8]? {
    let plan = try Plan(
      aligned: .open(workshop.folder("plain/aligned")), sft: .open(workshop.folder("plain/sft")), recipe: recipe)
    _ = try MergeJob(plan: plan, output: workshop.folder("expected"), options: .init(), context: RunContext(threads: 2)).run()
    return workshop.contents(of: "expected")["model.safetensors"]
  }

  @Test(
    "gives the bytes of the same pair in F32, wherever shards cut rows and blocks, and verifies",
    arguments: [[128, 128], [3, 17], [1, 1], [300, 7]], [["aligned", "sft"], ["aligned"], ["sft"]])
  func sameBytes(block: [Int], sides: [String]) throws {
    writePairs(block: block, sides: sides)
    let recipe = Recipe(alpha: 0.3, dtype: .bf16, shardSize: 65_536)
    let context = RunContext(threads: 2, readMethod: block[0] == 3 ? .mmap : .pread)
    let outcome = try workshop.merge(recipe, context: context)
    let expected = try expected(recipe)
    #expect(workshop.contents(of: "out")["model.safetensors"] == expected)
    #expect(outcome.statistics.total.elements == 300 * 517 + 129 + 5000 + 3)
    let verified = try Verification(workshop.output, context: context).recompute()
    #expect(verified.problems.isEmpty && verified.shards == 5)
  }

  @Test("the output is a plain checkpoint: no scales, no quantisation, and a dtype that is what is written")
  func plainOutput() throws {
    writePairs(block: [64, 32], sides: ["aligned", "sft"])
    try workshop.merge(Recipe(alpha: 0.3, shardSize: 65_536))
    let output = try Checkpoint.open(workshop.output)
    #expect(output.tensors.map(\.name).sorted() == ["a.weight", "b.weight", "c.weight", "norm"])
    #expect(output.tensors.filter { $0.name.hasSuffix("weight") }.allSatisfy { $0.dtype == .bf16 })
    #expect(workshop.contents(of: "out")["config.json"] == Array(#"{"torch_dtype": "bfloat16"}"#.utf8))
  }

  @Test("with several alphas each checkpoint is what a merge with its alpha gives")
  func severalAlphas() throws {
    writePairs(block: [48, 80], sides: ["aligned", "sft"])
    try workshop.merge(Recipe(alphas: [0.3, -0.5], shardSize: 65_536))
    for alpha in [0.3, -0.5] {
      try workshop.merge(Recipe(alpha: alpha, shardSize: 65_536), to: "single-\(alpha)")
      let (found, expected) = (workshop.contents(of: "out/alpha-\(alpha)"), workshop.contents(of: "single-\(alpha)"))
      for name in ["model.safetensors", "config.json"] { #expect(found[name] != nil && found[name] == expected[name]) }
    }
  }

  @Test("a survey sees what the same pair in F32 shows")
  func survey() throws {
    writePairs(block: [16, 48], sides: ["aligned", "sft"])
    let context = RunContext(threads: 2)
    let survey = try DeltaSurvey(workshop.plan(), share: 1, context)
    let plain = try Plan(
      aligned: .open(workshop.folder("plain/aligned")), sft: .open(workshop.folder("plain/sft")), recipe: Recipe(alpha: 0.5))
    let expected = try DeltaSurvey(plain, share: 1, context)
    #expect(survey.seen == expected.seen && survey.seen == survey.elements)
    let (found, right) = (survey.summary.total.sums, expected.summary.total.sums)
    #expect(found.nonFiniteInputs == right.nonFiniteInputs && found.largestDelta == right.largestDelta && found.largestDelta > 0)
    // Blocks have other sizes, and so sums other orders.
    #expect(abs(found.deltaSquared / right.deltaSquared - 1) < 1e-12)
  }

  @Test("scales that have changed since are found when computing again")
  func changed() throws {
    writePairs(block: [1, 1], sides: ["sft"])
    try workshop.merge(Recipe(alpha: 0.3, shardSize: 65_536))
    var contents = try #require(workshop.contents(of: "sft")["model.safetensors"])
    for place in contents.indices.dropFirst(5000) where place % 100 == 0 { contents[place] ^= 1 }
    workshop.folder.write(contents, to: "sft/model.safetensors")
    #expect(try codes { _ = try Verification(workshop.output, context: RunContext(threads: 2)).recompute() } == [.inputChanged])
  }
}
