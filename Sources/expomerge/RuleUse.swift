import Planning

/// The tensors that have their alpha by one rule, or by none.
struct RuleUse: Encodable {
  /// `rule 1`, or `the rest`.
  let name: String
  let conditions: String
  /// The least and the most.
  let alphas: ClosedRange<Double>
  /// Indices into the plan's pairs.
  let pairs: [Int]

  /// Those that any tensor has, in the order of the rules.
  static func all(of plan: Plan) -> [RuleUse] {
    let computed = plan.pairs.indices.filter { plan.pairs[$0].treatment != .copy }
    let byRule = Dictionary(grouping: computed) { plan.pairs[$0].rule ?? plan.recipe.rules.count }
    return byRule.sorted { $0.key < $1.key }.map { number, pairs in
      let alphas = pairs.map { plan.pairs[$0].alpha }
      let rule = plan.recipe.rules.indices.contains(number) ? plan.recipe.rules[number] : nil
      return RuleUse(
        name: rule == nil ? "the rest" : "rule \(number + 1)", conditions: rule?.conditions ?? "no rule",
        alphas: alphas.min()!...alphas.max()!, pairs: pairs)
    }
  }

  private enum CodingKeys: String, CodingKey {
    case name, conditions, leastAlpha, mostAlpha, tensors
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(name, forKey: .name)
    try container.encode(conditions, forKey: .conditions)
    try container.encode(alphas.lowerBound, forKey: .leastAlpha)
    try container.encode(alphas.upperBound, forKey: .mostAlpha)
    try container.encode(pairs.count, forKey: .tensors)
  }
}
