import Diagnostics
import Digests
import Wire

/// Decides who computes what, and what becomes of it (docs/architecture.md). Pure: events in, commands out; time is an
/// argument.
///
/// A shard is pending until it is granted to a worker as a lease. A lease ends when its result is safe, when the worker
/// says that it failed or no longer lists it, or when the worker is silent for too long. Whatever ends without a result
/// is granted again.
public struct Scheduler: Sendable {
  /// A worker's right to compute a shard.
  struct Lease: Sendable {
    enum Phase: Sendable, Equatable {
      case granted
      /// Its result is being made safe.
      case committing
      /// The worker has been told to stop.
      case revoked
    }

    let key: Attempt
    let session: SessionID
    var work = WorkerSession.Work.compute
    /// Of the message that granted it.
    var seq: Int
    let grantedAt: Instant
    var progress = 0
    var progressAt: Instant
    var isRunning = false
    var phase = Phase.granted
    /// Of its result.
    var digest = Digest128(high: 0, low: 0)
  }

  struct Session: Sendable {
    let id: SessionID
    var route: Route
    let hello: WorkerMessage.Hello
    var lastHeard: Instant
    /// The number of the latest beat.
    var heard = 0
    /// Of messages sent to it.
    var seq = 0
    var isDraining = false
    /// Nothing that it says counts, and nothing more is said to it. Its leases live until it has surely stopped writing.
    var isExpelled = false
    var drainRequest: Int?
    var setAsideUntil: Instant?
    var setAsideCount = 0
    var failuresInRow = 0
    var leases: [Attempt] = []
    /// Of the leases: those whose results are being made safe.
    var committing = 0
    /// Leases that it still has to do with.
    var held: Int { leases.count - committing }
    var jobs: [JobID: JobAccess] = [:]
    var offered: [JobID: Offer] = [:]
    var shardsDone = 0
    var failures = 0

    /// When a job was offered.
    struct Offer: Sendable {
      let first: Instant
      var last: Instant
    }

    func mayWork(at now: Instant) -> Bool {
      !isDraining && !isExpelled && (setAsideUntil.map { $0 <= now } ?? true)
    }
  }

  /// What a session can do for a job.
  struct JobAccess: Sendable {
    let prepared: WorkerMessage.Prepared
    /// By stretch: 0 where all is direct, more the more is streamed, `barred` where the worker cannot.
    var classes: [UInt8]
    /// Stretches that it can do, best first.
    var preferred: [Int]
    var leastClass: UInt8
    var barredInputs: Set<WorkerMessage.Failed.Input> = []
    /// The shard behind the one that it got last.
    var cursor: Int?
    /// The same of those that it reads back.
    var checkCursor: Int?

    static let barred = UInt8.max

    /// Reading the output has failed.
    var cannotRead = false
    /// Whether the worker can read the output.
    var canCheck: Bool { prepared.refusal == nil && prepared.output == .direct && !cannotRead }
  }

  enum ShardStatus: UInt8, Sendable {
    case pending, retrying, leased, done
    /// Done by an earlier life, and not read back.
    case unchecked
  }

  struct Retry: Sendable {
    let shard: Int
    let notBefore: Instant
  }

  struct Failures: Sendable {
    /// Of workers that it failed on, or that died of it.
    var names: Set<String> = []
    var count = 0
  }

  /// Output files on the way to their SHA-256: the last work of a job.
  struct Sums: Sendable {
    var hasBegun = false
    /// Files that nobody reads.
    var waiting: [Int] = []
    /// Files that the coordinator reads.
    var here: Set<Int> = []
    var done: Set<Int> = []
  }

  struct Job: Sendable {
    let id: JobID
    let specification: JobSpecification
    var pending: PendingShards
    /// Shards that wait for somebody to read them back.
    var unchecked: PendingShards
    var retries: [Retry] = []
    var status: [ShardStatus]
    /// Wide enough for a worker that gives back whatever it gets.
    var attempts: [UInt32]
    var digests: [Digest128]
    /// Leases of a shard that has any: rarely more than one.
    var live: [Int: [Attempt]] = [:]
    var failures: [Int: Failures] = [:]
    var inputFailures: [WorkerMessage.Failed.Input: Failures] = [:]
    /// How often shards were given to a second worker.
    var speculated: [Int: Int] = [:]
    /// Shards that two workers may have written to; with the worker whose result counts.
    var contested: Set<Int> = []
    var verifying: Set<Int> = []
    var sums = Sums()
    var winners: [Int: String] = [:]
    var doneCount = 0
    var retryCount = 0
    /// Failures for want of space since the last success.
    var spaceFailures = 0
    /// Milliseconds from grant to result: sum and number.
    var turnaround = (sum: 0, count: 0)
    var problem: Problem?
    var isStopping = false
    let addedAt: Instant
    var doneNotBefore: Instant

    var shardCount: Int { status.count }
    func status(of shard: Int) -> ShardStatus? { status.indices.contains(shard) ? status[shard] : nil }
    var offer: CoordinatorMessage.JobOffer { specification.offer }
    /// Whether computing a shard changes the output.
    var writes: Bool { specification.proved == nil }

    /// Whether there is nothing more to do for a shard that was read back.
    func isDone(_ shard: Int, afterReading matches: Bool) -> Bool {
      specification.proved.map { !$0.contains(shard) } ?? matches
    }
  }

  public private(set) var configuration: Configuration
  public let epoch: Int
  var now: Instant
  var sessions: [SessionID: Session] = [:]
  /// In the order of joining, as dictionaries have none.
  var joined: [SessionID] = []
  var jobs: [JobID: Job] = [:]
  /// By priority, then age.
  var order: [JobID] = []
  var leases: [Attempt: Lease] = [:]
  /// Of workers that may get work.
  var slotTotal = 0
  var grantsAllowed = true
  var lastTick: Instant
  /// Shards have become free since workers were last filled up.
  var hasNewWork = false
  /// Leases of output files that were ever given.
  var sumAttempts = 0
  var commands: [Command] = []
  public internal(set) var story: Story
  /// Messages that were ignored, by reason.
  public internal(set) var discarded: [String: Int] = [:]

  /// - Parameters:
  ///   - epoch: grows by one with each life of a coordinator.
  ///   - storyLength: transitions that are remembered.
  public init(
    configuration: Configuration = Configuration(), epoch: Int, at now: Instant, storyLength: Int = 4096
  ) {
    self.configuration = configuration
    self.epoch = epoch
    self.now = now
    lastTick = now
    story = Story(limit: storyLength)
  }

  /// Takes in what has happened, and returns what is to be done about it, in order.
  public mutating func handle(_ event: Event, at now: Instant) -> [Command] {
    // A clock of another kind could only do harm by going back.
    self.now = max(now, self.now)
    switch event {
    case .received(let envelope, let route): receive(envelope, from: route)
    case .tick: tick()
    case .add(let specification): add(specification)
    case .cancel(let job): stop(job, because: nil)
    case .committed(let attempt): committed(attempt)
    case .refused(let attempt, let problem): refused(attempt, problem)
    case .verified(let job, let shard, let matches): verified(job, shard, matches)
    case .summed(let job, let file, let sha256): summedHere(job, file, sha256)
    case .drain(let session): drain(session)
    case .expel(let users): expel(users)
    case .stopGranting: grantsAllowed = false
    }
    if hasNewWork {
      hasNewWork = false
      for id in joined { fill(id) }
    }
    checkHere()
    finishJobs()
    sumHere()
    defer { commands = [] }
    return commands
  }

  /// The port that later welcomes name.
  public mutating func announce(dataPort: Int) {
    configuration.dataPort = dataPort
  }

  /// Reads or changes a job where it is: to copy one out costs more than most of what is done with it.
  @discardableResult
  mutating func withJob<Value>(_ id: JobID, _ body: (inout Job) -> Value) -> Value? {
    guard let index = jobs.index(forKey: id) else { return nil }
    return body(&jobs.values[index])
  }

  mutating func discard(_ reason: String) {
    discarded[reason, default: 0] += 1
  }

  mutating func note(_ note: Note) {
    commands.append(.note(note))
  }

  /// - Returns: the message's `seq`.
  @discardableResult
  mutating func send(_ message: CoordinatorMessage, to id: SessionID) -> Int {
    guard sessions[id]?.isExpelled == false, var session = sessions.removeValue(forKey: id) else { return 0 }
    session.seq += 1
    let envelope = CoordinatorEnvelope(
      session: id, epoch: epoch, seq: session.seq, heard: session.heard, message: message)
    commands.append(.send(envelope, to: session.route))
    sessions[id] = session
    return envelope.seq
  }
}
