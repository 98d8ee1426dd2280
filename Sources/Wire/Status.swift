/// What a coordinator tells of itself, its jobs and its workers.
public struct Status: Sendable, Equatable, Codable {
  public struct Coordinator: Sendable, Equatable, Codable {
    public var version: String
    public var host: String
    public var process: Int
    public var epoch: Int
    public var uptimeSeconds: Double
    /// Messages that were ignored, by reason.
    public var discarded: [String: Int]

    public init(
      version: String, host: String, process: Int, epoch: Int, uptimeSeconds: Double, discarded: [String: Int]
    ) {
      self.version = version
      self.host = host
      self.process = process
      self.epoch = epoch
      self.uptimeSeconds = uptimeSeconds
      self.discarded = discarded
    }
  }

  public enum JobState: String, Sendable, Codable {
    case preparing, running, finishing, complete, failed, cancelled

    public var isOver: Bool { self == .complete || self == .failed || self == .cancelled }
  }

  public struct Job: Sendable, Equatable, Codable {
    public struct File: Sendable, Equatable, Codable {
      public var name: String
      public var bytes: Int
      public var shards: Int
      public var done: Int

      public init(name: String, bytes: Int, shards: Int, done: Int) {
        self.name = name
        self.bytes = bytes
        self.shards = shards
        self.done = done
      }
    }

    public enum Kind: String, Sendable, Codable {
      case merge, verify
    }

    /// The phase of a job that is being prepared and waits for what is not there; `problems` tells what.
    public static let waiting = "waiting"

    public var job: JobID
    public var kind: Kind
    public var state: JobState
    /// What is being done when the state is preparing or finishing.
    public var phase: String
    public var priority: Int
    public var aligned: String
    public var sft: String
    public var output: String
    /// One, or several that make a checkpoint each; none where it is not known yet.
    public var alphas: [Double]
    public var bytes = 0
    public var bytesDone = 0
    public var shards = 0
    public var shardsDone = 0
    public var shardsRunning = 0
    /// Attempts beyond one a shard.
    public var retries = 0
    /// Bytes of output a second, of late.
    public var rate: Double = 0
    public var etaSeconds: Double?
    public var seconds: Double = 0
    public var files: [File] = []
    public var problems: [ProblemReport] = []
    /// Of sysexits(3), where it failed.
    public var exitCode: Int32?
    public var warnings: [ProblemReport] = []

    public init(
      job: JobID, kind: Kind = .merge, state: JobState, phase: String, priority: Int, aligned: String, sft: String, output: String,
      alphas: [Double]
    ) {
      self.job = job
      self.kind = kind
      self.state = state
      self.phase = phase
      self.priority = priority
      self.aligned = aligned
      self.sft = sft
      self.output = output
      self.alphas = alphas
    }
  }

  public enum WorkerState: String, Sendable, Codable {
    case active, draining
    /// Has failed too often of late, and gets no work for a while.
    case setAside
  }

  public struct Worker: Sendable, Equatable, Codable {
    public struct JobAccess: Sendable, Equatable, Codable {
      public var job: JobID
      public var directInputs: Int
      public var streamedInputs: Int
      public var output: Access
      public var notes: [ProblemReport]
      public var refusal: ProblemReport?

      public init(
        job: JobID, directInputs: Int, streamedInputs: Int, output: Access, notes: [ProblemReport],
        refusal: ProblemReport?
      ) {
        self.job = job
        self.directInputs = directInputs
        self.streamedInputs = streamedInputs
        self.output = output
        self.notes = notes
        self.refusal = refusal
      }
    }

    public var name: String
    public var session: SessionID
    /// The fingerprint of its key; nil where there are no keys.
    public var key: String?
    public var host: String
    public var process: Int
    public var version: String
    public var level: String
    public var state: WorkerState
    public var slots: Int
    public var running: Int
    public var queued: Int
    /// Done in this session.
    public var shards: Int
    public var bytes: Int
    public var failures: Int
    /// Bytes of output a second, of late.
    public var rate: Double
    public var lastSeenSeconds: Double
    public var jobs: [JobAccess]

    public init(
      name: String, session: SessionID, key: String?, host: String, process: Int, version: String, level: String,
      state: WorkerState, slots: Int, running: Int, queued: Int, shards: Int, bytes: Int, failures: Int, rate: Double,
      lastSeenSeconds: Double, jobs: [JobAccess]
    ) {
      self.name = name
      self.session = session
      self.key = key
      self.host = host
      self.process = process
      self.version = version
      self.level = level
      self.state = state
      self.slots = slots
      self.running = running
      self.queued = queued
      self.shards = shards
      self.bytes = bytes
      self.failures = failures
      self.rate = rate
      self.lastSeenSeconds = lastSeenSeconds
      self.jobs = jobs
    }
  }

  public var coordinator: Coordinator
  public var jobs: [Job]
  public var workers: [Worker]

  public init(coordinator: Coordinator, jobs: [Job], workers: [Worker]) {
    self.coordinator = coordinator
    self.jobs = jobs
    self.workers = workers
  }
}
