import Checkpoint
public import Diagnostics

extension Problem.Code {
  public static let ruleInvalid = Self("rule-invalid")
  public static let ruleUnmatched = Self("rule-unmatched")
}

/// Which alpha each tensor has.
struct AlphaMap {
  struct Choice {
    let alpha: Double
    /// Index into the recipe's rules; nil where none applies.
    let rule: Int?
  }

  private let alpha: Double
  private var rules: [CompiledRule] = []
  /// Of each stack.
  private var lastLayers: [String: Int] = [:]
  private(set) var problems: [Problem] = []
  private var isUsed: [Bool]

  /// - Parameter names: of all tensors, as the depth of a model is known from them.
  init(_ recipe: Recipe, names: [String]) {
    alpha = recipe.alpha
    isUsed = Array(repeating: false, count: recipe.rules.count)
    guard !recipe.rules.isEmpty else { return }
    for (number, rule) in recipe.rules.enumerated() {
      do throws(CompiledRule.InvalidPattern) {
        rules.append(try CompiledRule(rule))
      } catch {
        problems.append(
          Problem(
            .ruleInvalid, "rule \(number + 1): '\(rule.regex ?? "")' is not a regular expression: \(error.reason)",
            remedy: "put a backslash before brackets and the like that stand for themselves"))
      }
    }
    for name in names {
      let role = TensorRole(of: name)
      guard let stack = role.stack, let layer = role.layer else { continue }
      lastLayers[stack] = max(lastLayers[stack] ?? 0, layer)
    }
  }

  mutating func choice(for name: String) -> Choice {
    guard !rules.isEmpty, problems.isEmpty else { return Choice(alpha: alpha, rule: nil) }
    let role = TensorRole(of: name)
    guard let index = rules.firstIndex(where: { $0.matches(name, role) }) else { return Choice(alpha: alpha, rule: nil) }
    isUsed[index] = true
    let lastLayer = role.stack.flatMap { lastLayers[$0] } ?? 0
    return Choice(alpha: rules[index].alpha(role, lastLayer: lastLayer), rule: index)
  }

  /// Adds the rules that no tensor has, once all were asked for.
  mutating func finish(names: [String]) {
    guard problems.isEmpty else { return }
    for (index, rule) in rules.enumerated() where !isUsed[index] {
      let matching = names.filter { rule.matches($0, TensorRole(of: $0)) }
      let remedy: String
      if !matching.isEmpty {
        remedy = "rules before it take all \(matching.count) tensors that it is for: move it up, or remove it"
      } else {
        let kinds = Set(names.map { TensorRole(of: $0).pattern })
        let pattern = rule.rule.glob ?? rule.rule.regex
        let nearest = pattern.map { nearestWords(to: $0, among: kinds, count: 3) } ?? []
        remedy = nearest.isEmpty ? "see the tensors with inspect" : "the nearest names are \(nearest.joined(separator: ", "))"
      }
      problems.append(
        Problem(.ruleUnmatched, "rule \(index + 1) (\(rule.rule.conditions)) applies to no tensor", remedy: remedy))
    }
  }
}
