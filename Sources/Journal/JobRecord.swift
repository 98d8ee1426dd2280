public import Diagnostics
public import Digests
public import Planning

/// A job as the journal keeps it: what was asked for, and what has become of it.
public struct JobRecord: Sendable, Equatable {
  public enum State: String, Sendable, CaseIterable {
    case running, publishing, complete, failed, cancelled

    /// Whether nothing more will happen.
    public var isFinal: Bool {
      switch self {
      case .running, .publishing: false
      case .complete, .failed, .cancelled: true
      }
    }
  }

  /// Counted from 1.
  public var number: Int
  public var state: State
  public var priority: Int
  /// Milliseconds since 1970.
  public var submittedAt: Int
  /// Milliseconds since 1970; nil while the job goes on.
  public var endedAt: Int?
  public var recipe: Recipe
  /// The folder, or the file.
  public var aligned: String
  /// The folder, or the file.
  public var sft: String
  /// The folder that is made.
  public var output: String
  /// What else was asked for: JSON of the caller, kept as it is.
  public var options: String
  /// The plan's fingerprint.
  public var plan: Digest128
  public var alignedFiles: [InputFingerprint]
  public var sftFiles: [InputFingerprint]
  /// What workers find in the output folder if it is the right one.
  public var nonce: String
  /// Why it failed: what kind of failure it was, and its first problem.
  public var failure: Failure?

  public init(
    number: Int, state: State = .running, priority: Int = 0, submittedAt: Int, endedAt: Int? = nil, recipe: Recipe,
    aligned: String, sft: String, output: String, options: String, plan: Digest128, alignedFiles: [InputFingerprint],
    sftFiles: [InputFingerprint], nonce: String, failure: Failure? = nil
  ) {
    self.number = number
    self.state = state
    self.priority = priority
    self.submittedAt = submittedAt
    self.endedAt = endedAt
    self.recipe = recipe
    self.aligned = aligned
    self.sft = sft
    self.output = output
    self.options = options
    self.plan = plan
    self.alignedFiles = alignedFiles
    self.sftFiles = sftFiles
    self.nonce = nonce
    self.failure = failure
  }
}
