import Checkpoint
import Diagnostics
import Planning
import Testing

@Suite("Pairing")
struct PairingTests {
  @Test("goes by name, whatever the order and the files")
  func byName() throws {
    let plan = try Plan(
      aligned: checkpoint("aligned", [[("a", .bf16, [2]), ("b", .bf16, [3])], [("c", .bf16, [4])]]),
      sft: checkpoint("sft", [[("c", .f32, [4])], [("b", .bf16, [3])], [("a", .bf16, [2])]]), recipe: Recipe(alpha: 0.3))
    #expect(plan.pairs.map(\.name) == ["a", "b", "c"])
    #expect(plan.pairs.map(\.sft.file) == [2, 1, 0])
    #expect(plan.pairs[2].aligned.dtype == .bf16)
    #expect(plan.pairs[2].sft.dtype == .f32)
    #expect(plan.pairs[2].dtype == .bf16)
  }

  @Test("reports every problem at once")
  func allProblems() throws {
    let found = try problems(
      aligned: [("only.a", .bf16, [1]), ("shape", .bf16, [2, 3]), ("kind", .i64, [1]), ("ok", .bf16, [1]), ("int", .i32, [1])],
      sft: [("only.s", .bf16, [1]), ("shape", .bf16, [3, 2]), ("kind", .bf16, [1]), ("ok", .bf16, [1]), ("int", .i64, [1])])
    #expect(
      found.map(\.code) == [
        .tensorMissingInSFT, .shapesDiffer, .dtypesCannotPair, .dtypesCannotPair, .tensorMissingInAligned,
      ])
    #expect(found.map(\.tensor) == ["only.a", "shape", "kind", "int", "only.s"])
    #expect(found.allSatisfy { $0.file != nil && $0.remedy != nil })
  }

  @Test("of a thousand missing tensors reports them all")
  func manyProblems() throws {
    let found = try problems(aligned: (0..<1000).map { ("a\($0)", .bf16, [1]) }, sft: [("x", .bf16, [1])])
    #expect(found.count == 1001)
  }

  // MARK: tied heads

  static let tied = #"{"tie_word_embeddings": true}"#
  static let untied = #"{"tie_word_embeddings": false}"#
  static let embedding: (String, DType, [Int]) = ("model.embed_tokens.weight", .bf16, [10, 4])
  static let head: (String, DType, [Int]) = ("lm_head.weight", .bf16, [10, 4])

  @Test("takes the embedding for a head that is tied in sft, if its config says so")
  func tiedInSFT() throws {
    let plan = try plan(aligned: [Self.embedding, Self.head], sft: [Self.embedding], sftConfig: Self.tied)
    #expect(plan.pairs.count == 2)
    #expect(plan.pairs[1].sft == plan.pairs[0].sft)
    #expect(plan.notes.count == 1)
    for config in [Self.untied, nil] {
      let found = try problems(aligned: [Self.embedding, Self.head], sft: [Self.embedding], sftConfig: config)
      #expect(found.map(\.code) == [.tensorMissingInSFT])
    }
  }

  @Test("leaves out a head that is tied in aligned, if its config says so")
  func tiedInAligned() throws {
    let plan = try plan(
      aligned: [Self.embedding], sft: [Self.embedding, Self.head],
      alignedConfig: #"{"text_config": {"tie_word_embeddings": true}}"#)
    #expect(plan.pairs.map(\.name) == ["model.embed_tokens.weight"])
    #expect(plan.notes.count == 1)
    let found = try problems(aligned: [Self.embedding], sft: [Self.embedding, Self.head], alignedConfig: Self.untied)
    #expect(found.map(\.code) == [.tensorMissingInAligned])
  }

  // MARK: vocabularies

  @Test("refuses different vocabularies and names the flag", arguments: ["model.embed_tokens.weight", "lm_head.weight", "transformer.wte.weight"])
  func vocabularyRefused(name: String) throws {
    let found = try problems(aligned: [(name, .bf16, [12, 4])], sft: [(name, .bf16, [10, 4])])
    #expect(found.map(\.code) == [.vocabulariesDiffer])
    #expect(found[0].remedy?.contains("--vocabulary overlap") == true)
  }

  @Test("overlaps vocabularies on demand", arguments: [(12, 10), (10, 12)])
  func vocabularyOverlap(alignedRows: Int, sftRows: Int) throws {
    let plan = try plan(
      aligned: [("lm_head.weight", .bf16, [alignedRows, 4])], sft: [("lm_head.weight", .bf16, [sftRows, 4])],
      recipe: Recipe(alpha: 0.3, vocabulary: .overlap))
    #expect(plan.pairs[0].shape == [alignedRows, 4])
    #expect(plan.pairs[0].treatment == .extrapolate(elements: 40))
    #expect(plan.notes.count == 1)
  }

  @Test("overlaps nothing but the rows of a vocabulary")
  func overlapElsewhere() throws {
    let recipe = Recipe(alpha: 0.3, vocabulary: .overlap)
    let cases: [(String, [Int], [Int])] = [
      ("model.layers.0.mlp.weight", [12, 4], [10, 4]), ("lm_head.weight", [12, 4], [12, 5]),
      ("model.layers.0.attention.output.weight", [12, 4], [10, 4]), ("lm_head.weight", [12], [12, 1]),
    ]
    for (name, one, other) in cases {
      let found = try problems(aligned: [(name, .bf16, one)], sft: [(name, .bf16, other)], recipe: recipe)
      #expect(found.map(\.code) == [.shapesDiffer], "\(name)")
    }
  }

  // MARK: dtypes

  @Test("copies what is not floating-point", arguments: DType.allCases)
  func copied(dtype: DType) throws {
    let plan = try plan(
      aligned: [("w", .bf16, [4]), ("x", dtype, [4])], sft: [("w", .bf16, [4]), ("x", dtype, [4])],
      recipe: Recipe(alpha: 0.3, dtype: .f32))
    let isFloat: Set<DType> = [.f64, .f32, .f16, .bf16, .f8E4M3, .f8E5M2, .f8E4M3FNUZ, .f8E5M2FNUZ]
    #expect(plan.pairs[1].treatment == (isFloat.contains(dtype) ? .extrapolate(elements: 4) : .copy))
    #expect(plan.pairs[1].dtype == (isFloat.contains(dtype) ? .f32 : dtype))
  }

  @Test("refuses reference arithmetic where PyTorch has none")
  func reference() throws {
    let recipe = Recipe(alpha: 0.3, arithmetic: .reference)
    for dtype in [DType.f64, .f32, .f16, .bf16] {
      #expect(try problems(aligned: [("x", dtype, [1])], sft: [("x", dtype, [1])], recipe: recipe).isEmpty)
    }
    for (one, other) in [(DType.f8E4M3, DType.f8E4M3), (.bf16, .f32), (.f8E5M2, .bf16)] {
      let found = try problems(aligned: [("x", one, [1])], sft: [("x", other, [1])], recipe: recipe)
      #expect(found.map(\.code) == [.referenceUndefined])
      #expect(found[0].remedy == "use --arithmetic float32")
    }
  }

  @Test(
    "refuses quantised weights and names the companion",
    arguments: [
      ("a.weight", "a.weight_scale_inv"), ("a.weight", "a.weight_scale"), ("a.qweight", "a.qzeros"),
      ("a.qweight", "a.scales"), ("a.weight", "a.weight.absmax"), ("a.weight", "a.SCB"), ("a_blocks", "a_scales"),
      ("a.weight", "a.input_scale"),
    ])
  func quantised(owner: String, companion: String) throws {
    let tensors: [(String, DType, [Int])] = [(owner, .f8E4M3, [4]), (companion, .f32, [1])]
    let found = try problems(aligned: tensors, sft: tensors)
    #expect(found.contains { $0.code == .quantised && $0.tensor == companion && $0.message.contains(companion) })
  }

  @Test("does not take every name with 'scale' for a quantisation")
  func notQuantised() throws {
    let tensors: [(String, DType, [Int])] = [
      ("logit_scale", .f32, []), ("layer.layer_scale", .bf16, [4]), ("norm.scale", .bf16, [4]), ("vq.scales", .bf16, [4]),
    ]
    #expect(try problems(aligned: tensors, sft: tensors).isEmpty)
  }

  @Test("needs something to extrapolate")
  func nothing() throws {
    let found = try problems(aligned: [("x", .i64, [1])], sft: [("x", .i64, [1])])
    #expect(found.map(\.code) == [.nothingToExtrapolate])
  }

  @Test("checks the recipe first")
  func recipe() throws {
    let recipe = Recipe(alpha: .nan, maxFileSize: 0, shardSize: 65_537)
    let failure = #expect(throws: Failure.self) {
      try plan(aligned: [("x", .bf16, [1])], sft: [("x", .bf16, [1])], recipe: recipe)
    }
    #expect(failure?.category == .badRecipe)
    #expect(failure?.problems.map(\.code) == [.alphaInvalid, .shardSizeInvalid, .fileSizeInvalid])
    for alpha in [Double.infinity, 1e39] {
      #expect(
        try problems(aligned: [("x", .bf16, [1])], sft: [("x", .bf16, [1])], recipe: Recipe(alpha: alpha)).map(\.code)
          == [.alphaInvalid])
    }
  }
}
