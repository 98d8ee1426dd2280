public import Diagnostics
public import Planning

/// What a client (`submit`, `status`, `cancel`, `resume`, `drain`) asks of a coordinator.
public enum ClientRequest: Sendable, Equatable {
  case status(StatusRequest)
  case submit(Submission)
  case verify(Verify)
  case cancel(Cancel)
  case resume(Resume)
  case drainWorker(DrainWorker)

  public struct StatusRequest: Sendable, Equatable, Codable {
    /// nil for all.
    public var job: JobID?

    public init(job: JobID? = nil) {
      self.job = job
    }
  }

  /// A merge to be done. Paths are those of the coordinator's machine.
  public struct Submission: Sendable, Equatable, Codable {
    public var aligned: String
    public var sft: String
    public var output: String
    public var recipe: Recipe
    /// Jobs of higher priority get workers first.
    public var priority: Int
    public var syncsFully: Bool
    public var sha256: Bool
    public var overwrite: Bool
    public var restart: Bool
    /// For the model card.
    public var command: String

    public init(
      aligned: String, sft: String, output: String, recipe: Recipe, priority: Int = 0, syncsFully: Bool = true,
      sha256: Bool = false, overwrite: Bool = false, restart: Bool = false, command: String = ""
    ) {
      self.aligned = aligned
      self.sft = sft
      self.output = output
      self.recipe = recipe
      self.priority = priority
      self.syncsFully = syncsFully
      self.sha256 = sha256
      self.overwrite = overwrite
      self.restart = restart
      self.command = command
    }
  }

  /// A finished merge to be read back and, in whole or in part, computed again. Paths are those of the coordinator's
  /// machine.
  public struct Verify: Sendable, Equatable, Codable {
    /// What merge has written.
    public var folder: String
    /// Where the inputs are now; nil for where the manifest says.
    public var aligned: String?
    public var sft: String?
    /// How many shards are computed again, picked at random; nil for all.
    public var sample: Int?
    public var priority: Int

    public init(folder: String, aligned: String? = nil, sft: String? = nil, sample: Int? = nil, priority: Int = 0) {
      self.folder = folder
      self.aligned = aligned
      self.sft = sft
      self.sample = sample
      self.priority = priority
    }
  }

  public struct Cancel: Sendable, Equatable, Codable {
    public var job: JobID

    public init(job: JobID) {
      self.job = job
    }
  }

  /// Goes on with a job that was cancelled or has failed.
  public struct Resume: Sendable, Equatable, Codable {
    public var job: JobID
    /// Files that were on the disk are not read back.
    public var trustsSynced: Bool

    public init(job: JobID, trustsSynced: Bool = false) {
      self.job = job
      self.trustsSynced = trustsSynced
    }
  }

  public struct DrainWorker: Sendable, Equatable, Codable {
    /// Its name, or its session where several have the same name.
    public var worker: String

    public init(worker: String) {
      self.worker = worker
    }
  }
}

/// The answer to a client.
public enum ClientReply: Sendable, Equatable {
  case status(Status)
  case submitted(Submitted)
  case done(Done)
  case error(ErrorReport)

  public struct Submitted: Sendable, Equatable, Codable {
    public var job: JobID

    public init(job: JobID) {
      self.job = job
    }
  }

  public struct Done: Sendable, Equatable, Codable {
    public var message: String

    public init(message: String) {
      self.message = message
    }
  }

  public struct ErrorReport: Sendable, Equatable, Codable {
    /// Of sysexits(3).
    public var exitCode: Int32
    public var problems: [ProblemReport]

    public init(_ failure: Failure) {
      exitCode = failure.exitCode
      problems = failure.problems.map { ProblemReport($0) }
    }

    public var failure: Failure {
      Failure(
        Failure.Category(rawValue: exitCode) ?? .internalError,
        problems.isEmpty ? [Problem(Problem.Code("unknown"), "the coordinator gave no reason")] : problems.map(\.problem))
    }
  }
}
