public import Diagnostics
import FoundationEssentials

/// What a search remembers: lines of JSON, the first about the search, the others each about an alpha
/// (docs/search.md). Pure: bytes in and out.
///
/// A line counts once its line feed is there, so what a crash left of the last one is nothing. Lines are only ever added.
public struct SearchJournal: Sendable, Equatable {
  public let identity: SearchIdentity
  public private(set) var outcomes: [Outcome]
  /// Bytes that count; what follows them is cut off before anything is added.
  public let length: Int

  /// Reads a journal.
  ///
  /// - Parameter file: its name, for messages.
  /// - Returns: nil where not even the first line is whole: nothing was promised yet.
  /// - Throws: `badData` where a whole line is damaged.
  public init?(_ bytes: [UInt8], file: String) throws(Failure) {
    guard let end = bytes.lastIndex(of: Self.lineFeed) else { return nil }
    length = end + 1
    let lines = bytes[...end].split(separator: Self.lineFeed, omittingEmptySubsequences: false).dropLast()
    guard let first = lines.first else { return nil }
    guard let header: Header = Self.decoded(first) else { throw Self.refusal("line 1 is not that of a search", file) }
    guard header.format == Self.format, let identity = header.identity else {
      throw Self.refusal("is of format \(header.format); this expomerge reads format \(Self.format)", file)
    }
    self.identity = identity
    outcomes = []
    for (number, line) in lines.enumerated().dropFirst() {
      guard let entry: Entry = Self.decoded(line), let outcome = entry.outcome else {
        throw Self.refusal("line \(number + 1) is damaged", file)
      }
      outcomes.append(outcome)
    }
  }

  /// The first line of a new journal.
  public static func line(_ identity: SearchIdentity, version: String) -> [UInt8] {
    encoded(Header(format: format, version: version, identity: identity))
  }

  public static func line(_ outcome: Outcome) -> [UInt8] { encoded(Entry(outcome)) }

  private static let format = 1
  private static let lineFeed = UInt8(ascii: "\n")

  private struct Header: Codable {
    let format: Int
    let version: String
    /// nil in other formats.
    let identity: SearchIdentity?
  }

  private struct Entry: Codable {
    let alpha: Double
    let score: Double?
    let reason: String?
    let exitStatus: Int32?
    let signal: Int32?
    let seconds: Double

    init(_ outcome: Outcome) {
      (alpha, score, seconds) = (outcome.alpha, outcome.score, outcome.seconds)
      (reason, exitStatus, signal) = (outcome.failure?.reason, outcome.failure?.exitStatus, outcome.failure?.signal)
    }

    /// nil where it says neither, or both.
    var outcome: Outcome? {
      guard alpha.isFinite else { return nil }
      switch (score, reason) {
      case (let score?, nil): return Outcome(alpha: alpha, result: .score(score), seconds: seconds)
      case (nil, let reason?):
        return Outcome(alpha: alpha, result: .failed(ScoreFailure(reason, exitStatus: exitStatus, signal: signal)), seconds: seconds)
      default: return nil
      }
    }
  }

  private static func encoded(_ value: some Encodable) -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    guard let data = try? encoder.encode(value) else { preconditionFailure("all numbers are finite") }
    return Array(data) + [lineFeed]
  }

  private static func decoded<Value: Decodable>(_ line: ArraySlice<UInt8>) -> Value? {
    try? JSONDecoder().decode(Value.self, from: Data(line))
  }

  private static func refusal(_ message: String, _ file: String) -> Failure {
    Failure(
      .badData,
      Problem(
        .searchInvalid, message, file: file,
        remedy: "restore it from a copy, or discard scores and checkpoints, and begin again with --restart"))
  }
}
