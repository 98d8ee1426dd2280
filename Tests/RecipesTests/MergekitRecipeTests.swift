import Diagnostics
import Planning
import Recipes
import Testing

/// What mergekit's recipes mean in terms of alpha; docs/method.md says how.
@Suite("Recipes of mergekit")
struct MergekitRecipeTests {
  func read(_ text: String) throws -> RecipeFile {
    try RecipeFile(text, file: "mergekit.yaml", options: .init(valued: [], flags: []))
  }

  func value(_ name: String, _ recipe: RecipeFile) -> String? { recipe.settings.first { $0.name == name }?.value ?? nil }

  func expect(
    _ recipe: RecipeFile, sft: String, aligned: String, alpha: Double, _ rules: [AlphaRule] = [],
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    #expect(value("sft", recipe) == sft, sourceLocation: sourceLocation)
    #expect(value("aligned", recipe) == aligned, sourceLocation: sourceLocation)
    let found = value("alpha", recipe).flatMap { Double($0) } ?? .nan
    #expect(abs(found - alpha) < 1e-12, sourceLocation: sourceLocation)
    #expect(recipe.rules.count == rules.count, sourceLocation: sourceLocation)
    for (one, other) in zip(recipe.rules, rules) {
      #expect(one.glob == other.glob && one.alphas.count == other.alphas.count, sourceLocation: sourceLocation)
      for (one, other) in zip(one.alphas, other.alphas) { #expect(abs(one - other) < 1e-12, sourceLocation: sourceLocation) }
    }
  }

  @Test("task_arithmetic: weight and lambda together are 1 + alpha")
  func taskArithmetic() throws {
    let recipe = try read(
      """
      merge_method: task_arithmetic
      base_model: sft
      models:
        - model: sft
        - model: dpo
          parameters: {weight: 1.5}
      parameters: {normalize: false, lambda: 0.8}
      dtype: bfloat16
      """)
    expect(recipe, sft: "sft", aligned: "dpo", alpha: 0.2)
    #expect(value("dtype", recipe) == "bf16")
  }

  @Test("away from the model: the base is what is gone beyond")
  func reversed() throws {
    expect(
      try read("merge_method: task_arithmetic\nbase_model: dpo\nmodels: [{model: sft, parameters: {weight: -0.3}}]"), sft: "sft",
      aligned: "dpo", alpha: 0.3)
  }

  @Test("filters and gradients on weights become rules in their order")
  func filters() throws {
    let recipe = try read(
      """
      merge_method: task_arithmetic
      base_model: sft
      models:
        - model: dpo
          parameters:
            weight:
              - filter: self_attn
                value: [1, 1.5, 2]
              - filter: "mlp"
                value: 1
              - value: 1.1
      """)
    expect(
      recipe, sft: "sft", aligned: "dpo", alpha: 0.1,
      [AlphaRule(glob: "*self_attn*", alphas: [0, 0.5, 1]), AlphaRule(glob: "*mlp*", alphas: [0])])
  }

  @Test("linear: weights that are 1 together, or are made so")
  func linear() throws {
    func text(_ one: String, _ other: String, _ parameters: String) -> String {
      "merge_method: linear\nmodels:\n- {model: a, parameters: {weight: \(one)}}\n- {model: b, parameters: {weight: \(other)}}\nparameters: {\(parameters)}"
    }
    expect(try read(text("1.3", "-0.3", "normalize: false")), sft: "b", aligned: "a", alpha: 0.3)
    expect(try read(text("-0.3", "1.3", "normalize: false")), sft: "a", aligned: "b", alpha: 0.3)
    expect(try read(text("1", "3", "normalize: true")), sft: "a", aligned: "b", alpha: -0.25)
    // mergekit's default is to normalise.
    expect(try read(text("1", "3", "")), sft: "a", aligned: "b", alpha: -0.25)
    expect(
      try read(text("[-0.1, -0.5]", "[1.1, 1.5]", "normalize: false")), sft: "a", aligned: "b", alpha: 0.1,
      [AlphaRule(alphas: [0.1, 0.5])])
    #expect(throws: Failure.self) { try read(text("1", "1", "normalize: false")) }
  }

  @Test(
    "what means something else is refused by naming it",
    arguments: [
      ("merge_method: slerp\nmodels: []", "'slerp' is not an extrapolation"),
      ("merge_method: linear\nslices: []\nmodels: []", "'slices'"),
      ("merge_method: linear\ntokenizer_source: union\nmodels: []", "'tokenizer_source'"),
      ("merge_method: task_arithmetic\nmodels: []", "base_model"),
      ("merge_method: task_arithmetic\nbase_model: a\nmodels: [{model: b, parameters: {weight: 1}}, {model: c, parameters: {weight: 1}}]", "2 models"),
      ("merge_method: task_arithmetic\nbase_model: a\nmodels: [{model: b, parameters: {weight: 1, density: 0.5}}]", "'density'"),
      ("merge_method: task_arithmetic\nbase_model: a\nmodels: [{model: b, parameters: {weight: 1}}]\nparameters: {normalize: true}", "normalize"),
      ("merge_method: task_arithmetic\nbase_model: a\nmodels: [{model: b}]", "no weight"),
      ("merge_method: task_arithmetic\nbase_model: a\nmodels: [{model: b, parameters: {weight: [{filter: x, value: 1}]}}]", "no filter fits"),
      ("merge_method: linear\nmodels: [{model: a, parameters: {weight: 1}}]", "1 models"),
      ("merge_method: linear\ndtype: int8\nmodels: [{model: a, parameters: {weight: 1}}, {model: b, parameters: {weight: 1}}]", "int8"),
    ])
  func refusals(text: String, expected: String) {
    do {
      _ = try read(text)
      Issue.record("was taken")
    } catch {
      #expect("\((error as? Failure)?.problems.first?.message ?? "")".contains(expected))
    }
  }
}
