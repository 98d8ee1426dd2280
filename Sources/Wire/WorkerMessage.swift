public import Diagnostics
public import Digests
public import Kernels

/// What a worker says to a coordinator (docs/protocol.md).
public enum WorkerMessage: Sendable, Equatable {
  case hello(Hello)
  case beat(Beat)
  case prepared(Prepared)
  case finished(Finished)
  case failed(Failed)
  /// The session ends: nothing of it is being worked on any more.
  case goodbye(Goodbye)

  /// The first message of a session; repeated until a welcome comes.
  public struct Hello: Sendable, Equatable, Codable {
    /// For people.
    public var name: String
    public var host: String
    public var process: Int
    /// Shards that it computes at a time.
    public var slots: Int
    /// Of expomerge.
    public var version: String
    /// Of the kernels, as in `x86-64-v4`.
    public var level: String

    public init(name: String, host: String, process: Int, slots: Int, version: String, level: String) {
      self.name = name
      self.host = host
      self.process = process
      self.slots = slots
      self.version = version
      self.level = level
    }
  }

  /// All that the worker holds. Whatever the coordinator thinks otherwise, it learns from this.
  public struct Beat: Sendable, Equatable, Codable {
    /// A lease that the worker holds.
    public struct Held: Sendable, Equatable, Codable {
      public let job: JobID
      public let shard: Int
      public let attempt: Int
      /// Bytes fetched, computed and sent so far: a measure of progress.
      public let progress: Int
      /// Whether a slot works on it.
      public let isRunning: Bool

      public init(_ attempt: Attempt, progress: Int, isRunning: Bool) {
        job = attempt.job
        shard = attempt.shard
        self.attempt = attempt.attempt
        self.progress = progress
        self.isRunning = isRunning
      }

      public var key: Attempt { Attempt(job: job, shard: shard, attempt: attempt) }
    }

    /// Counts the beats of a session from 1.
    public var number: Int
    /// The highest `seq` that it has seen. Older messages that come later are ignored.
    public var seen: Int
    public var isDraining: Bool
    /// Jobs that it has answered with `prepared`.
    public var jobs: [JobID]
    public var held: [Held]

    public init(number: Int, seen: Int, isDraining: Bool, jobs: [JobID], held: [Held]) {
      self.number = number
      self.seen = seen
      self.isDraining = isDraining
      self.jobs = jobs
      self.held = held
    }
  }

  /// How the worker reaches a job's files, or why it cannot work on it.
  public struct Prepared: Sendable, Equatable, Codable {
    public var job: JobID
    /// By input file.
    public var aligned: [Access]
    public var sft: [Access]
    public var output: Access
    /// Why files are streamed that one would expect to be direct.
    public var notes: [ProblemReport]
    public var refusal: ProblemReport?

    public init(
      job: JobID, aligned: [Access] = [], sft: [Access] = [], output: Access = .streamed, notes: [ProblemReport] = [],
      refusal: ProblemReport? = nil
    ) {
      self.job = job
      self.aligned = aligned
      self.sft = sft
      self.output = output
      self.notes = notes
      self.refusal = refusal
    }

    public subscript(side: Side) -> [Access] { side == .aligned ? aligned : sft }
  }

  /// A shard is written, or was read back. Resent until acknowledged.
  public struct Finished: Sendable, Equatable, Codable {
    public struct Segment: Sendable, Equatable, Codable {
      /// Index into the plan's pairs.
      public let pair: Int
      public let sums: DeltaSums
      /// What is counted in the outputs of all variants but the first; nil where that is nothing.
      public let others: [OutputCounts]?
      public let differingBytes: UInt64

      public init(pair: Int, sums: DeltaSums, others: [OutputCounts] = [], differingBytes: UInt64) {
        self.pair = pair
        self.sums = sums
        self.others = others.isEmpty ? nil : others
        self.differingBytes = differingBytes
      }
    }

    public var job: JobID
    public var shard: Int
    public var attempt: Int
    /// XXH3-128 of the shard's bytes; of several variants, one digest for `variants`.
    public var digest: Digest128
    /// XXH3-128 of the shard's bytes in each variant, where it has several and was not read back.
    public var variants: [Digest128]?
    /// From the start of computing to the last byte written.
    public var milliseconds: Int
    /// None where it was read back.
    public var segments: [Segment]
    /// Of an output file: 64 lower-case hexadecimal digits.
    public var sha256: String?

    public init(
      _ attempt: Attempt, digests: [Digest128], milliseconds: Int, segments: [Segment], sha256: String? = nil
    ) {
      job = attempt.job
      shard = attempt.shard
      self.attempt = attempt.attempt
      digest = Digest128(combining: digests)
      variants = digests.count > 1 ? digests : nil
      self.milliseconds = milliseconds
      self.segments = segments
      self.sha256 = sha256
    }

    public var key: Attempt { Attempt(job: job, shard: shard, attempt: attempt) }

    /// Of each variant.
    public var digests: [Digest128] { variants ?? [digest] }
  }

  /// A shard could not be computed. Resent until acknowledged.
  public struct Failed: Sendable, Equatable, Codable {
    /// What has failed, as it decides what is done about it.
    public enum Cause: String, Sendable, Codable, CaseIterable {
      /// Reading an input; `input` says which.
      case input
      case output
      /// No space for the output.
      case space
      case other
    }

    public struct Input: Sendable, Hashable, Codable {
      public let side: Side
      public let file: Int

      public init(side: Side, file: Int) {
        self.side = side
        self.file = file
      }
    }

    public var job: JobID
    public var shard: Int
    public var attempt: Int
    public var cause: Cause
    public var input: Input?
    public var problem: ProblemReport

    public init(_ attempt: Attempt, cause: Cause, input: Input? = nil, problem: ProblemReport) {
      job = attempt.job
      shard = attempt.shard
      self.attempt = attempt.attempt
      self.cause = cause
      self.input = input
      self.problem = problem
    }

    public var key: Attempt { Attempt(job: job, shard: shard, attempt: attempt) }
  }

  public struct Goodbye: Sendable, Equatable, Codable {
    public var reason: String

    public init(reason: String) {
      self.reason = reason
    }
  }
}

/// A `Problem` in a message.
public struct ProblemReport: Sendable, Equatable, Codable {
  public var code: String
  public var message: String
  public var file: String?
  public var tensor: String?
  public var byte: Int?
  public var remedy: String?

  public init(_ problem: Problem) {
    code = problem.code.description
    message = problem.message
    file = problem.file
    tensor = problem.tensor
    byte = problem.byte
    remedy = problem.remedy
  }

  /// Texts from outside are cut: they are kept and logged.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    code = String(try container.decode(String.self, forKey: .code).prefix(100))
    message = String(try container.decode(String.self, forKey: .message).prefix(Limits.textCharacters))
    file = try container.decodeIfPresent(String.self, forKey: .file).map { String($0.prefix(Limits.textCharacters)) }
    tensor = try container.decodeIfPresent(String.self, forKey: .tensor).map { String($0.prefix(Limits.textCharacters)) }
    byte = try container.decodeIfPresent(Int.self, forKey: .byte)
    remedy = try container.decodeIfPresent(String.self, forKey: .remedy).map { String($0.prefix(Limits.textCharacters)) }
  }

  private enum CodingKeys: CodingKey {
    case code, message, file, tensor, byte, remedy
  }

  public var problem: Problem {
    Problem(Problem.Code(code), message, file: file, tensor: tensor, byte: byte, remedy: remedy)
  }
}

/// A message of a worker with what every one carries.
public struct WorkerEnvelope: Sendable, Equatable {
  public var session: SessionID
  /// The coordinator's, as its welcome said; 0 in a hello.
  public var epoch: Int
  public var message: WorkerMessage

  public init(session: SessionID, epoch: Int, message: WorkerMessage) {
    self.session = session
    self.epoch = epoch
    self.message = message
  }
}
