public import Diagnostics
import Yams

/// A value in a YAML file, which knows where it is.
struct YAMLNode {
  let node: Node
  let file: String

  /// - Throws: `badRecipe` for what is not YAML, has more than `limit` bytes, says a key twice, or nothing at all.
  init(_ text: String, file: String) throws(Failure) {
    guard let node = try Self.ifAny(text, file: file) else { throw Self.failure("is empty", file, nil, remedy: nil) }
    self = node
  }

  /// Nil where the file says nothing, or has comments only.
  ///
  /// - Throws: as `init`.
  static func ifAny(_ text: String, file: String) throws(Failure) -> YAMLNode? {
    let limit = 1 << 20
    guard text.utf8.count <= limit else {
      throw Self.failure("has more than \(limit) bytes", file, nil, remedy: "write rules with patterns instead of names")
    }
    do {
      return try Yams.compose(yaml: text).map { YAMLNode($0, file: file) }
    } catch let error as YamlError {
      throw failure(error, file)
    } catch {
      throw Self.failure("is not YAML: \(error)", file, nil, remedy: nil)
    }
  }

  private static func failure(_ error: YamlError, _ file: String) -> Failure {
    let (what, line): (String, Int?)
    switch error {
    case .duplicatedKeysInMapping(let keys, let context):
      // The place is that of the first.
      return failure("\(keys[0]) is there twice", file, context.mark.line, remedy: "remove one of them")
    case .scanner(let context, let problem, let mark, _), .parser(let context, let problem, let mark, _),
      .composer(let context, let problem, let mark, _):
      (what, line) = (problem + (context.map { " \($0.text)" } ?? ""), mark.line)
    case .reader(let problem, let offset, _, let text):
      (what, line) = (problem, offset.map { text.prefix($0).count { $0.isNewline } + 1 })
    default:
      (what, line) = ("\(error)", nil)
    }
    return failure("is not YAML: \(what)", file, line, remedy: "check the indentation")
  }

  private init(_ node: Node, file: String) {
    self.node = node
    self.file = file
  }

  /// Keys and values of a map, in order.
  ///
  /// - Throws: for anything else, and where a key is not a word.
  func entries(_ what: String) throws(Failure) -> [(key: String, value: YAMLNode)] {
    guard let mapping = node.mapping else { throw refusal("\(what) is not a map of keys and values") }
    var entries: [(key: String, value: YAMLNode)] = []
    for (key, value) in mapping {
      guard let text = key.scalar?.string else { throw refusal("\(what) has a key that is not a word") }
      entries.append((text, YAMLNode(value, file: file)))
    }
    return entries
  }

  /// A list, or the one value that there is.
  var items: [YAMLNode] { node.sequence.map { $0.map { YAMLNode($0, file: file) } } ?? [self] }
  var isList: Bool { node.sequence != nil }
  var isMap: Bool { node.mapping != nil }
  /// From 1.
  var line: Int? { node.mark?.line }

  func text(_ what: String) throws(Failure) -> String {
    guard let text = node.scalar?.string else { throw refusal("\(what) is not a single value") }
    return text
  }

  func number(_ what: String) throws(Failure) -> Double {
    let text = try text(what)
    guard let number = Double(text), number.isFinite else { throw refusal("\(what) is '\(text)', not a number") }
    return number
  }

  func truth(_ what: String) throws(Failure) -> Bool {
    switch try text(what).lowercased() {
    case "true", "yes", "on": return true
    case "false", "no", "off": return false
    case let text: throw refusal("\(what) is '\(text)', not true or false")
    }
  }

  func refusal(_ message: String, remedy: String? = nil) -> Failure {
    Self.failure(message, file, node.mark?.line, remedy: remedy)
  }

  private static func failure(_ message: String, _ file: String, _ line: Int?, remedy: String?) -> Failure {
    let place = line.map { "line \($0): " } ?? ""
    return Failure(.badRecipe, Problem(.recipeInvalid, place + message, file: file, remedy: remedy))
  }
}

extension Problem.Code {
  public static let recipeInvalid = Self("recipe-invalid")
}
