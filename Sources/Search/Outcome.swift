/// What came of trying an alpha.
public struct Outcome: Sendable, Equatable {
  public enum Result: Sendable, Equatable {
    case score(Double)
    case failed(ScoreFailure)
  }

  public let alpha: Double
  public let result: Result
  /// That the command took.
  public let seconds: Double

  public init(alpha: Double, result: Result, seconds: Double) {
    self.alpha = alpha
    self.result = result
    self.seconds = seconds
  }

  public var score: Double? { if case .score(let score) = result { score } else { nil } }
  public var failure: ScoreFailure? { if case .failed(let failure) = result { failure } else { nil } }
}

/// Why a command gave no score.
public struct ScoreFailure: Sendable, Equatable {
  /// In words, as in "exited with 1".
  public let reason: String
  /// Of a command that has ended by itself, whether or not it should have.
  public let exitStatus: Int32?
  public let signal: Int32?

  public init(_ reason: String, exitStatus: Int32? = nil, signal: Int32? = nil) {
    self.reason = reason
    self.exitStatus = exitStatus
    self.signal = signal
  }
}
