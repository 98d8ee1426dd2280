import Checkpoint
import Diagnostics
import Planning
import Testing

@Suite("Rules for alpha")
struct RulesTests {
  static let names = [
    "model.embed_tokens.weight", "model.norm.weight", "lm_head.weight",
    "model.layers.0.mlp.up_proj.weight", "model.layers.1.mlp.up_proj.weight", "model.layers.2.mlp.up_proj.weight",
    "model.layers.4.mlp.up_proj.weight", "model.layers.0.self_attn.q_proj.weight", "model.layers.4.self_attn.q_proj.weight",
    "model.layers.0.input_layernorm.weight",
  ]

  func plan(_ rules: [AlphaRule], names: [String] = names) throws -> Plan {
    let tensors = names.map { ($0, DType.bf16, [2]) }
    return try Plan(
      aligned: checkpoint("aligned", [tensors]), sft: checkpoint("sft", [tensors]), recipe: Recipe(alpha: 0.3, rules: rules))
  }

  func alphas(_ rules: [AlphaRule]) throws -> [String: Double] {
    Dictionary(uniqueKeysWithValues: try plan(rules).pairs.map { ($0.name, $0.alpha) })
  }

  func problems(_ rules: [AlphaRule]) -> [Problem] {
    do {
      _ = try plan(rules)
      return []
    } catch {
      let failure = error as? Failure
      #expect(failure?.category == .badRecipe)
      return failure?.problems ?? []
    }
  }

  @Test("the first that fits is taken, and all of its conditions must hold")
  func first() throws {
    let alphas = try alphas([
      AlphaRule(glob: "*.mlp.*", layers: 0...1, alphas: [1]), AlphaRule(part: .mlp, alphas: [2]),
      AlphaRule(regex: "^lm_head", alphas: [3]), AlphaRule(glob: "model.layers.?.*", part: .attention, alphas: [4]),
    ])
    #expect(alphas["model.layers.0.mlp.up_proj.weight"] == 1)
    #expect(alphas["model.layers.1.mlp.up_proj.weight"] == 1)
    #expect(alphas["model.layers.2.mlp.up_proj.weight"] == 2)
    #expect(alphas["lm_head.weight"] == 3)
    #expect(alphas["model.layers.4.self_attn.q_proj.weight"] == 4)
    #expect(alphas["model.norm.weight"] == 0.3)
  }

  // The values are those of numpy.interp.
  @Test("several alphas are interpolated over the depth, of the model or of the rule's layers")
  func gradient() throws {
    let all = try alphas([AlphaRule(alphas: [0.1, 0.5, 0.2])])
    #expect(all["model.embed_tokens.weight"] == 0.1)
    #expect(all["model.layers.0.mlp.up_proj.weight"] == 0.1)
    #expect(abs(all["model.layers.1.mlp.up_proj.weight"]! - 0.3) < 1e-15)
    #expect(all["model.layers.2.mlp.up_proj.weight"] == 0.5)
    #expect(all["model.layers.4.mlp.up_proj.weight"] == 0.2)
    #expect(all["model.norm.weight"] == 0.2)
    #expect(all["lm_head.weight"] == 0.2)
    let some = try alphas([AlphaRule(layers: 1...4, alphas: [0, 0.3])])
    #expect(some["model.layers.1.mlp.up_proj.weight"] == 0)
    #expect(abs(some["model.layers.2.mlp.up_proj.weight"]! - 0.1) < 1e-15)
    #expect(some["model.layers.4.mlp.up_proj.weight"] == 0.3)
    #expect(some["model.layers.0.mlp.up_proj.weight"] == 0.3)
  }

  @Test("alpha 0 keeps aligned as it is: sft is not read")
  func keep() throws {
    let plan = try plan([AlphaRule(glob: "lm_head.weight", alphas: [0])])
    let head = try #require(plan.pairs.firstIndex { $0.name == "lm_head.weight" })
    #expect(plan.pairs[head].treatment == .keep)
    let segment = try #require(plan.segments(of: plan.shard(0)).first { $0.pair == head })
    #expect(segment.action == .copy && segment.sft == nil)
    #expect(plan.inputBytes == 2 * plan.tensorBytes - 4)
  }

  @Test("a rule that no tensor has is an error that names the nearest")
  func unmatched() {
    let found = problems([
      AlphaRule(glob: "model.layers.*.mlp.up_porj.weight", alphas: [1]), AlphaRule(alphas: [1]), AlphaRule(part: .mlp, alphas: [2]),
    ])
    #expect(found.map(\.code) == [.ruleUnmatched, .ruleUnmatched])
    #expect(found.first?.remedy?.hasPrefix("the nearest names are model.layers.*.mlp.up_proj.weight, ") == true)
    #expect(found.last?.message.contains("rule 3") == true)
    #expect(found.last?.remedy?.contains("rules before it take all 4 tensors") == true)
  }

  @Test("what cannot be is refused")
  func invalid() {
    #expect(problems([AlphaRule(regex: "(", alphas: [1])]).first?.code == .ruleInvalid)
    #expect(problems([AlphaRule(alphas: [])]).first?.code == .ruleInvalid)
    #expect(problems([AlphaRule(alphas: [.infinity])]).first?.code == .ruleInvalid)
    #expect(problems([AlphaRule(alphas: [1e300])]).first?.code == .ruleInvalid)
    #expect(problems([AlphaRule(layers: -1...2, alphas: [1])]).first?.code == .ruleInvalid)
    #expect(problems([AlphaRule(glob: String(repeating: "*", count: 2000), alphas: [1])]).first?.code == .ruleInvalid)
    #expect(problems(Array(repeating: AlphaRule(alphas: [1]), count: 2000)).first?.code == .ruleInvalid)
    #expect(problems([AlphaRule(regex: "(", alphas: [1])]).first?.remedy != nil)
    #expect(problems([AlphaRule(alphas: [])]).first?.remedy != nil)
  }

  @Test("other rules are another plan; without any it is the plan of versions that had none")
  func fingerprints() throws {
    let plans = try [[], [AlphaRule(alphas: [0.3])], [AlphaRule(part: .mlp, alphas: [0.3])], [AlphaRule(alphas: [0.3, 0.3])]].map { try plan($0) }
    #expect(Set(plans.map(\.fingerprint)).count == 4)
    // Of the version before there were rules.
    #expect(plans[0].fingerprint.description == "0535d6f570951245cadfb049237e7958")
  }

  @Test("workers plan the same from a description")
  func description() throws {
    let plan = try plan([AlphaRule(part: .mlp, alphas: [0.1, 0.2]), AlphaRule(layers: 4...4, alphas: [0])])
    let again = try JobDescription.plan(from: JobDescription(plan).encoded())
    #expect(again.fingerprint == plan.fingerprint && again.pairs == plan.pairs)
  }

  @Test(
    "on a command line a rule is a line",
    arguments: [
      ("model.*.weight:0.2", AlphaRule(glob: "model.*.weight", alphas: [0.2])),
      ("part=mlp;layers=0-15:0.1,0.5", AlphaRule(part: .mlp, layers: 0...15, alphas: [0.1, 0.5])),
      ("layers=3;regex=a;b=c:-0.5", AlphaRule(regex: "a;b=c", layers: 3...3, alphas: [-0.5])),
      (":1e-3", AlphaRule(alphas: [0.001])),
      // U+0600 makes one character with what follows it.
      ("tensors=a=\u{600};regex=\u{600}:1", AlphaRule(glob: "a=\u{600}", regex: "\u{600}", alphas: [1])),
    ])
  func text(text: String, rule: AlphaRule) throws {
    #expect(try AlphaRule(text: text) == rule)
    #expect(try AlphaRule(text: rule.text) == rule)
  }

  @Test("what is no rule is refused in words", arguments: ["a", "a:", "a:b", "part=x:1", "layers=2-1:1", "layers=1-2-3:1", "x=y:1", "a:1,,2"])
  func wrongText(text: String) {
    #expect(throws: AlphaRule.InvalidText.self) { try AlphaRule(text: text) }
  }

  @Test(
    "the parts of models as hubs name them",
    arguments: [
      ("model.layers.3.self_attn.q_norm.weight", .norm, 3), ("model.layers.3.post_attention_layernorm.weight", .norm, 3),
      ("model.layers.3.self_attn.o_proj.weight", .attention, 3), ("transformer.h.11.attn.c_attn.weight", .attention, 11),
      ("model.layers.3.attention.wqkv.weight", .attention, 3), ("model.layers.3.feed_forward.w1.weight", .mlp, 3),
      ("model.layers.3.attention_norm.weight", .norm, 3), ("model.layers.3.block_sparse_moe.experts.7.w1.weight", .mlp, 3),
      ("model.layers.60.mlp.experts.255.down_proj.weight", .mlp, 60), ("model.tok_embeddings.weight", .embedding, nil),
      ("output.weight", .head, nil), ("transformer.wte.weight", .embedding, nil), ("transformer.ln_f.weight", .norm, nil),
      ("lm_head.weight", .head, nil), ("model.norm.weight", .norm, nil), ("something", .other, nil),
    ] as [(String, TensorRole.Kind, Int?)])
  func names(name: String, part: TensorRole.Kind, layer: Int?) {
    #expect(TensorRole(of: name).kind == part)
    #expect(TensorRole(of: name).layer == layer)
  }
}
