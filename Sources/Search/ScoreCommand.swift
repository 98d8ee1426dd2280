/// A command of the user, with places for what it is to score.
public struct ScoreCommand: Sendable, Equatable {
  /// As it was typed.
  public let template: String

  public init(_ template: String) { self.template = template }

  /// Whether it says where the checkpoint's path goes.
  public var takesModel: Bool { template.contains("{model}") }

  /// For /bin/sh: `{model}` becomes the quoted path, `{alpha}` the number, and `{job}` the number from 0 of the command among
  /// those that run at the same time. What stands in a path is not looked at again.
  public func text(model: String, alpha: Double, job: Int) -> String {
    let values = ["{model}": Self.quoted(model), "{alpha}": "\(alpha)", "{job}": "\(job)"]
    var (text, rest) = ("", Substring(template))
    while let brace = rest.firstIndex(of: "{") {
      text += rest[..<brace]
      rest = rest[brace...]
      let value = values.first { rest.hasPrefix($0.key) } ?? (key: "{", value: "{")
      text += value.value
      rest = rest.dropFirst(value.key.count)
    }
    return text + rest
  }

  /// A word as a shell takes it, whatever stands in it.
  static func quoted(_ word: String) -> String { "'" + word.replacing("'", with: "'\\''") + "'" }
}
