import Checkpoint
public import Diagnostics
public import Planning

/// A recipe in a YAML file: what the command line would say, and rules for alpha. One of mergekit's is taken where it means the
/// same.
public struct RecipeFile: Equatable, Sendable {
  /// An option of the command line, by its long name without dashes, and its value; nil for a flag that is set.
  public struct Setting: Equatable, Sendable {
    public let name: String
    public let value: String?

    public init(_ name: String, _ value: String?) {
      self.name = name
      self.value = value
    }
  }

  public var settings: [Setting] = []
  public var rules: [AlphaRule] = []
  /// What is done otherwise than the file might be read, in words.
  public var notes: [String] = []

  /// Options that a file may set.
  public struct Options: Sendable {
    public let valued: Set<String>
    public let flags: Set<String>

    public init(valued: Set<String>, flags: Set<String>) {
      self.valued = valued
      self.flags = flags
    }
  }

  /// - Parameters:
  ///   - text: YAML.
  ///   - file: its name, for messages.
  /// - Throws: `badRecipe`, naming the line.
  public init(_ text: String, file: String, options: Options) throws(Failure) {
    let root = try YAMLNode(text, file: file)
    let entries = try root.entries("the recipe")
    if entries.contains(where: { $0.key == "merge_method" }) {
      self = try MergekitRecipe(entries, root).converted()
      return
    }
    for (key, value) in entries {
      let name = key.replacing("_", with: "-")
      if name == "rules" {
        for item in value.items { rules.append(try Self.rule(item)) }
      } else if options.flags.contains(name) {
        if try value.truth(key) { settings.append(Setting(name, nil)) }
      } else if options.valued.contains(name) {
        // A checkpoint of each; over the depth of a model they stand in a rule.
        let words = name == "alpha" ? try value.items.map { (item) throws(Failure) in try item.text(key) } : [try value.text(key)]
        settings.append(Setting(name, words.joined(separator: ",")))
      } else {
        let known = options.valued.union(options.flags).union(["rules"])
        throw value.unknown(key, among: known)
      }
    }
  }

  init() {}

  private static func rule(_ node: YAMLNode) throws(Failure) -> AlphaRule {
    var rule = AlphaRule(alphas: [])
    for (key, value) in try node.entries("a rule") {
      switch key {
      case "tensors": rule.glob = try value.text(key)
      case "regex": rule.regex = try value.text(key)
      case "part":
        let text = try value.text(key)
        guard let part = TensorRole.Kind(rawValue: text) else {
          throw value.refusal(
            "there is no part '\(text)'", remedy: "choose one of \(TensorRole.Kind.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        rule.part = part
      case "layers":
        let text = value.isList ? try value.items.map { (item) throws(Failure) in try item.text(key) }.joined(separator: "-") : try value.text(key)
        guard let layers = AlphaRule.layers(text) else {
          throw value.refusal("layers is '\(text)'", remedy: "write the first and the last, as in 0-15")
        }
        rule.layers = layers
      case "alpha": rule.alphas = try value.items.map { (item) throws(Failure) in try item.number(key) }
      default: throw value.unknown(key, among: ["tensors", "regex", "part", "layers", "alpha"])
      }
    }
    // On the command line they stand between conditions; tensors have none in their names.
    if rule.glob?.unicodeScalars.contains(";") == true { throw node.refusal("tensors has a semicolon", remedy: "write ? for it") }
    guard !rule.alphas.isEmpty else { throw node.refusal("the rule (\(rule.conditions)) has no alpha") }
    return rule
  }
}

extension YAMLNode {
  func unknown(_ key: String, among known: Set<String>) -> Failure {
    let nearest = nearestWords(to: key, among: known)
    return refusal(
      "there is no key '\(key)'",
      remedy: nearest.first.map { "did you mean \($0)?" } ?? "choose one of \(known.sorted().joined(separator: ", "))")
  }
}
