public import Diagnostics

/// The options of a daemon in a YAML file, by their long names.
public struct ConfigurationFile: Equatable, Sendable {
  struct Entry: Equatable, Sendable {
    let name: String
    let values: [String]
    let source: Setting.Source
  }

  let entries: [Entry]

  /// - Parameters:
  ///   - text: YAML.
  ///   - file: its name, for messages.
  /// - Throws: `badRecipe`, naming the line of each problem.
  public init(_ text: String, file: String, options: [SettableOption]) throws(Failure) {
    do throws(Failure) {
      entries = try Self.entries(text, file, options)
    } catch {
      throw Failure(
        error.category,
        error.problems.map { problem in
          var problem = problem
          problem.code = .configurationInvalid
          return problem
        })
    }
  }

  private static func entries(_ text: String, _ file: String, _ options: [SettableOption]) throws(Failure) -> [Entry] {
    var entries: [Entry] = []
    var problems: [Problem] = []
    for (key, value) in try YAMLNode.ifAny(text, file: file)?.entries("the configuration") ?? [] {
      do throws(Failure) {
        let entry = try entry(key, value, file, options)
        guard !entries.contains(where: { $0.name == entry.name }) else { throw value.refusal("\(key) is there twice") }
        entries.append(entry)
      } catch {
        problems += error.problems
      }
    }
    if !problems.isEmpty { throw Failure(.badRecipe, problems) }
    return entries
  }

  private static func entry(_ key: String, _ value: YAMLNode, _ file: String, _ options: [SettableOption]) throws(Failure) -> Entry {
    let name = key.replacing("_", with: "-")
    guard let option = options.first(where: { $0.name == name }) else { throw value.unknown(key, among: Set(options.map(\.name))) }
    let values =
      switch option.kind {
      case .flag: [try value.truth(key) ? "true" : "false"]
      case .value: [try word(value, key)]
      case .list: try value.items.map { (item) throws(Failure) in try word(item, key) }
      }
    // None might mean all: without a root a coordinator is confined to nothing.
    guard !values.isEmpty else { throw value.refusal("\(key) has no value", remedy: "remove it, or write what it is") }
    return Entry(name: name, values: values, source: .file(file, line: value.line ?? 0))
  }

  private static func word(_ value: YAMLNode, _ key: String) throws(Failure) -> String {
    let text = try value.text(key)
    guard !text.isEmpty else { throw value.refusal("\(key) has no value", remedy: "remove it, or write what it is") }
    return text
  }
}

extension Problem.Code {
  public static let configurationInvalid = Self("configuration-invalid")
}
