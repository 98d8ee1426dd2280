/// What came of trying an alpha.
public struct Outcome: Sendable, Equatable {
  public enum Result: Sendable, Equatable {
    case score(Double)
    case failed(ScoreFailure)
  }

  public let alpha: Double
  public let result: Result
  /// nil where it failed.
  public let score: Double?
  /// nil where it has a score.
  public let failure: ScoreFailure?
  /// That the command took.
  public let seconds: Double

  public init(alpha: Double, result: Result, seconds: Double) {
    self.alpha = alpha
    self.result = result
    self.seconds = seconds
    // Not computed: Swift 6.3.1 does not compile that, inlined, in an optimised build.
    switch result {
    case .score(let score): (self.score, failure) = (score, nil)
    case .failed(let reason): (score, failure) = (nil, reason)
    }
  }
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
