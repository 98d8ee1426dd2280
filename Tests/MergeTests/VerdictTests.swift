import Checkpoint
import Coordinator
import Deltas
import Diagnostics
import Planning
import TestSupport
import Testing

@Suite("What a pair looks like")
struct VerdictTests {
  let workshop = Workshop()

  /// Values around zero, with a deviation of about 0.02.
  private static func weights(_ count: Int, seed: UInt64) -> [Float] {
    var random = SplitMix64(seed: seed)
    return (0..<count).map { _ in Float.random(in: -0.035...0.035, using: &random) }
  }

  /// Moved by a part of their norm.
  private static func moved(_ weights: [Float], by part: Float, seed: UInt64) -> [Float] {
    zip(weights, Self.weights(weights.count, seed: seed)).map { $0 + part * $1 }
  }

  private func survey() throws -> DeltaSurvey {
    try DeltaSurvey(workshop.plan(), share: 0.01, RunContext(threads: 2))
  }

  enum Training: CaseIterable {
    case none, aStep, aTenth, preference, supervised, continued, another

    var expected: Verdict.Kind {
      switch self {
      case .none: .identical
      case .aStep: .nearlyIdentical
      case .aTenth, .preference: .preferenceTraining
      case .supervised, .continued: .supervisedTraining
      case .another: .differentBase
      }
    }

    var alphas: [Double] {
      switch self {
      case .aStep, .aTenth: [0.5, 1, 2, 5, 10]
      case .preference: [0.1, 0.2, 0.3, 0.4, 0.5]
      case .none, .supervised, .continued, .another: []
      }
    }

    func aligned(_ sft: [Float]) -> [Float] {
      switch self {
      case .none: sft
      case .aStep: moved(sft, by: 1e-6, seed: 2)
      case .aTenth: moved(sft, by: 1e-4, seed: 2)
      case .preference: moved(sft, by: 0.002, seed: 2)
      case .supervised: moved(sft, by: 0.03, seed: 2)
      case .continued: moved(sft, by: 0.5, seed: 2)
      case .another: weights(sft.count, seed: 2)
      }
    }
  }

  @Test("follows from how far training moved the weights", arguments: Training.allCases)
  func kinds(training: Training) throws {
    let sft = Self.weights(10_000, seed: 1)
    workshop.writePair(aligned: [TensorBytes("w", training.aligned(sft))], sft: [TensorBytes("w", sft)])
    let sums = try survey().summary.total.sums
    let verdict = DeltaJudgement.verdict(on: sums)
    #expect(verdict.kind == training.expected)
    #expect(verdict.alphas == training.alphas)
    #expect(!verdict.reasons.isEmpty)
    // One judgement: what is warned of is not what is recommended.
    #expect(DeltaJudgement.warnings(about: sums, overflows: [(nil, sums.overflows)]).isEmpty || verdict.alphas.isEmpty)
  }

  @Test("is nothing for weights that are all zero, or too large to be squared", arguments: [(0.0, 0.0), (1e200, 1e199), (1, 1e200), (1e200, 1e200.nextDown)])
  func extremes(aligned: Double, sft: Double) throws {
    func tensor(_ value: Double) -> [TensorBytes] {
      [TensorBytes("w", .f64, [1], withUnsafeBytes(of: value.bitPattern.littleEndian) { Array($0) })]
    }
    workshop.writePair(aligned: tensor(aligned), sft: tensor(sft))
    #expect(DeltaJudgement.verdict(on: try survey().summary.total.sums).kind == .unknown)
  }

  // MARK: what stands out

  /// Six layers, changed alike but for what is said.
  private func problems(
    change: (_ layer: Int, _ module: String) -> Float = { _, _ in 0.002 }, addedRows: Int = 0
  ) throws -> [Problem] {
    var (aligned, sft): ([TensorBytes], [TensorBytes]) = ([], [])
    func add(_ name: String, _ old: [Float], _ new: [Float], shape: [Int]) {
      sft.append(TensorBytes(name, old, shape: shape))
      aligned.append(TensorBytes(name, new, shape: shape))
    }
    for layer in 0..<6 {
      for (index, module) in ["self_attn.q_proj", "mlp.up_proj", "input_layernorm"].enumerated() {
        let old = Self.weights(400, seed: UInt64(layer * 10 + index))
        let new = module.hasSuffix("norm") ? old : Self.moved(old, by: change(layer, module), seed: UInt64(layer * 10 + index + 5))
        add("model.layers.\(layer).\(module).weight", old, new, shape: [400])
      }
    }
    let embedding = Self.weights(16000, seed: 100)
    let added = Self.weights(addedRows * 16, seed: 101)
    add(
      "model.embed_tokens.weight", embedding, Self.moved(embedding.dropLast(added.count), by: 0.002, seed: 102) + added,
      shape: [1000, 16])
    workshop.writePair(aligned: aligned, sft: sft)
    let survey = try survey()
    return DeltaFindings.problems(in: survey.summary, tails: survey.tails)
  }

  @Test("nothing stands out where all was trained alike, and norms stayed")
  func alike() throws {
    #expect(try problems().isEmpty)
  }

  @Test("a layer that moved ten times as much as its neighbours stands out", arguments: [0, 3, 5])
  func layer(number: Int) throws {
    let found = try problems { layer, module in layer == number && module == "mlp.up_proj" ? 0.03 : 0.002 }
    #expect(found.map(\.code) == [.layerStandsOut])
    #expect(found.map(\.tensor) == ["model.layers.\(number).mlp.up_proj"])
    #expect(try problems { layer, _ in layer == number ? 0.01 : 0.002 }.isEmpty)
  }

  @Test("a module that was not trained, and a layer, are named")
  func untouched() throws {
    let module = try problems { _, module in module == "self_attn.q_proj" ? 0 : 0.002 }
    #expect(module.map(\.code) == [.moduleUntouched] && module.map(\.tensor) == ["self_attn.q_proj"])
    let layer = try problems { layer, _ in layer == 2 ? 0 : 0.002 }
    #expect(layer.map(\.code) == [.moduleUntouched] && layer.map(\.tensor) == ["model.layers.2"])
  }

  @Test("rows of tokens that were added are counted", arguments: [1, 40, 200])
  func rows(count: Int) throws {
    let found = try problems(addedRows: count)
    #expect(found.map(\.code) == [.rowsStandOut])
    #expect(found[0].message.hasPrefix("\(count) row\(count == 1 ? "" : "s") of the last 512, the first of them row \(1000 - count),"))
  }

  @Test("names tell what a tensor is", arguments: [
    ("model.layers.3.self_attn.q_proj.weight", TensorRole.Kind.attention, "self_attn.q_proj", 3 as Int?),
    ("model.layers.3.self_attn.q_norm.weight", .norm, "self_attn.q_norm", 3),
    ("model.layers.60.mlp.experts.255.down_proj.weight", .mlp, "mlp.experts.down_proj", 60),
    ("transformer.h.11.mlp.c_fc.bias", .mlp, "mlp.c_fc", 11), ("transformer.h.0.ln_1.weight", .norm, "ln_1", 0),
    ("model.embed_tokens.weight", .embedding, "embed_tokens", nil), ("transformer.wte.weight", .embedding, "wte", nil),
    ("lm_head.weight", .head, "lm_head", nil), ("output.weight", .head, "output", nil),
    ("encoder.layer.0.attention.output.dense.weight", .attention, "attention.output.dense", 0),
    ("model.norm.weight", .norm, "norm", nil), ("w", .other, "w", nil), ("", .other, "", nil), ("0.weight", .other, "0", nil),
  ])
  func roles(name: String, kind: TensorRole.Kind, module: String, layer: Int?) {
    let role = TensorRole(of: name)
    #expect(role.kind == kind && role.module == module && role.layer == layer)
  }
}
