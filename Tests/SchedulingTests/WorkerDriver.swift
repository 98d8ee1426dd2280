import Digests
import Scheduling
import Testing
import Wire

/// A worker's session with a clock, and a coordinator that says what it is told to.
struct WorkerDriver {
  static let epoch = 3

  var session: WorkerSession
  private(set) var now = Instant(nanoseconds: 1_000_000_000)
  private(set) var log: [WorkerSession.Command] = []
  private var seq = 0

  init(slots: Int = 1, seed: UInt64 = 1, idleMilliseconds: Int? = nil) {
    let hello = WorkerMessage.Hello(
      name: "w", host: "node", process: 1, slots: slots, version: "0", level: "portable")
    var configuration = WorkerSession.Configuration(hello: hello)
    configuration.idleMilliseconds = idleMilliseconds
    session = WorkerSession(configuration, seed: seed, at: now)
  }

  /// A session that was welcomed and has answered job 1.
  static func active(slots: Int = 1, idleMilliseconds: Int? = nil) -> WorkerDriver {
    var driver = WorkerDriver(slots: slots, idleMilliseconds: idleMilliseconds)
    driver.tick()
    driver.welcome()
    driver.offer()
    driver.log = []
    return driver
  }

  // MARK: events

  @discardableResult
  mutating func handle(_ event: WorkerSession.Event, sourceLocation: SourceLocation = #_sourceLocation)
    -> [WorkerSession.Command]
  {
    let commands = session.handle(event, at: now)
    #expect(session.checkInvariants() == [], sourceLocation: sourceLocation)
    log += commands
    return commands
  }

  @discardableResult
  mutating func tick() -> [WorkerSession.Command] { handle(.tick) }

  /// Time passes, with ticks four times a second.
  ///
  /// - Parameter answering: whether the coordinator answers every beat at once.
  mutating func pass(milliseconds: Int, answering: Bool = true) {
    let end = now.adding(milliseconds: milliseconds)
    while now < end {
      now = min(end, now.adding(milliseconds: 250))
      for case .send(let envelope) in tick() where answering {
        if case .beat(let beat) = envelope.message { hear(.beat(.init()), heard: beat.number) }
      }
    }
  }

  /// - Parameter seq: behind all others, unless told otherwise.
  @discardableResult
  mutating func hear(
    _ message: CoordinatorMessage, heard: Int = 0, seq number: Int? = nil, epoch: Int = Self.epoch,
    session: SessionID? = nil
  ) -> [WorkerSession.Command] {
    if number == nil { seq += 1 }
    let envelope = CoordinatorEnvelope(
      session: session ?? self.session.session, epoch: epoch, seq: number ?? seq, heard: heard, message: message)
    return handle(.received(envelope))
  }

  @discardableResult
  mutating func welcome(beat: Int = 1000, lease: Int = 5000) -> [WorkerSession.Command] {
    seq = 0
    return hear(.welcome(.init(beatMilliseconds: beat, leaseMilliseconds: lease, dataPort: 5756, window: 32 << 20)))
  }

  /// A job is offered and answered.
  mutating func offer(_ job: Int = 1) {
    hear(.job(Self.offer(job)))
    handle(.prepared(Self.prepared(job)))
  }

  static func offer(_ job: Int = 1) -> CoordinatorMessage.JobOffer { SchedulerDriver.job(job).offer }
  static func prepared(_ job: Int = 1) -> WorkerMessage.Prepared { SchedulerDriver.access(to: JobID(job)) }

  /// Leases are granted.
  ///
  /// - Returns: the tasks that they became.
  @discardableResult
  mutating func grant(_ shards: Int..., staged: Bool = true) -> [WorkerSession.TaskID] {
    let tasks = hear(.grant(.init(shards.map { Attempt(shard: $0) }))).staged
    if staged { for task in tasks { handle(.staged(task)) } }
    return tasks
  }

  /// A task leaves its slot with a result.
  @discardableResult
  mutating func finish(_ task: WorkerSession.TaskID) -> [WorkerSession.Command] {
    handle(.computed(task))
      + handle(.finished(task, digests: [SchedulerDriver.digest(0)], milliseconds: 5, segments: []))
  }

  /// What the latest beat listed.
  var held: [Attempt]? { log.beats.last?.held.map(\.key) }
}

extension [WorkerSession.Command] {
  var sent: [WorkerMessage] { compactMap { if case .send(let envelope) = $0 { envelope.message } else { nil } } }
  var beats: [WorkerMessage.Beat] { sent.compactMap { if case .beat(let beat) = $0 { beat } else { nil } } }
  var staged: [WorkerSession.TaskID] { compactMap { if case .stage(let task, _, _) = $0 { task } else { nil } } }
  var computing: [WorkerSession.TaskID] { compactMap { if case .compute(let task) = $0 { task } else { nil } } }
  var abandoned: [WorkerSession.TaskID] { compactMap { if case .abandon(let task) = $0 { task } else { nil } } }
  var fences: [Instant] { compactMap { if case .fence(let fence) = $0 { fence } else { nil } } }
  var connections: [SessionID] { compactMap { if case .connect(let session) = $0 { session } else { nil } } }

  /// Results, by shard.
  var reported: [Int] {
    sent.compactMap {
      switch $0 {
      case .finished(let finished): finished.shard
      case .failed(let failed): failed.shard
      default: nil
      }
    }
  }
}
