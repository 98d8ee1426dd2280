/// Why an operation did not happen: every problem found, and what kind of failure that makes it.
public struct Failure: Error, Sendable, Equatable {
  /// Kinds of failure, each with an exit code of sysexits(3).
  public enum Category: Int32, Sendable {
    case usage = 64
    case badData = 65
    case inputNotFound = 66
    case unavailable = 69
    case internalError = 70
    case cannotCreate = 73
    case inputOutput = 74
    case interrupted = 75
    case notPermitted = 77
    case badRecipe = 78
  }

  public var category: Category
  /// Never empty.
  public var problems: [Problem]

  public init(_ category: Category, _ problems: [Problem]) {
    precondition(!problems.isEmpty)
    self.category = category
    self.problems = problems
  }

  public init(_ category: Category, _ problem: Problem) {
    self.init(category, [problem])
  }

  public var exitCode: Int32 { category.rawValue }
}

extension Failure: CustomStringConvertible {
  public var description: String { problems.map(\.description).joined(separator: "\n") }

  /// The first problem, and how many more there are: for one line of a log.
  public var summary: String {
    guard problems.count > 1 else { return description }
    return "\(problems[0]) (and \(problems.count - 1) more \(problems.count == 2 ? "problem" : "problems"))"
  }
}
