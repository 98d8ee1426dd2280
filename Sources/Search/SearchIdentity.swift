public import Diagnostics

extension Problem.Code {
  /// The folder belongs to a search for something else.
  public static let searchDiffers = Self("search-differs")
  public static let searchInvalid = Self("search-invalid")
}

/// What the scores of a search were made of: while it is the same, they stay true.
public struct SearchIdentity: Sendable, Equatable, Codable {
  /// A digest for each input file, by `aligned/` or `sft/` and its name.
  public let inputs: [String: String]
  /// The options of the recipe as they are typed, but for alpha.
  public let recipe: String
  /// As it was typed.
  public let scoreCommand: String

  public init(inputs: [String: String], recipe: String, scoreCommand: String) {
    self.inputs = inputs
    self.recipe = recipe
    self.scoreCommand = scoreCommand
  }

  /// Whether the same alpha gives the same checkpoint.
  public func isOfSameModels(as other: SearchIdentity) -> Bool { inputs == other.inputs && recipe == other.recipe }

  /// - Parameter folder: of the search whose identity this is.
  /// - Throws: `cannotCreate` with all that differs.
  public func requireSame(_ now: SearchIdentity, folder: String) throws(Failure) {
    var differences: [String] = []
    let names = Set(inputs.keys).union(now.inputs.keys).sorted()
    for name in names where inputs[name] != now.inputs[name] {
      let how = inputs[name] == nil ? "is new" : now.inputs[name] == nil ? "is not there any more" : "has changed"
      differences.append("the input \(name) \(how)")
    }
    if recipe != now.recipe { differences.append("the recipe was \(Self.shown(recipe)), and is \(Self.shown(now.recipe))") }
    if scoreCommand != now.scoreCommand {
      differences.append("the score command was \(Self.shown(scoreCommand)), and is \(Self.shown(now.scoreCommand))")
    }
    guard !differences.isEmpty else { return }
    throw Failure(
      .cannotCreate,
      differences.map {
        Problem(
          .searchDiffers, "its scores are of another search: \($0)", file: folder,
          remedy: "choose another folder, search as before, or discard its scores and begin again with --restart")
      })
  }

  private static func shown(_ text: String) -> String { text.isEmpty ? "without options" : "'\(text)'" }
}
