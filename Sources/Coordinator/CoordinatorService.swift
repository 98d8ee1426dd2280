public import Diagnostics
import Dispatch
public import FileIO
import Glibc
public import Journal
import Keys
public import Logging
public import Scheduling
import Synchronization
import Threads
public import Transport
import Wire
import Worker
public import ZeroMQ

/// A coordinator: sockets, jobs and threads around a `Scheduler`.
///
/// The actor runs on the loop's thread, which owns the sockets. Whatever blocks - opening checkpoints, reading and
/// writing slices, publishing - is done by threads that tell the loop what came of it.
public actor CoordinatorService {
  public struct Configuration: Sendable {
    public var epoch = 1
    /// Keeps all jobs; nil where each keeps its own in its output folder.
    public var journal: Journal?
    /// The next job's number.
    public var nextJob = 1
    public var scheduling = Scheduler.Configuration()
    public var calls = SystemCalls.live
    /// Who may do what; nil where whoever connects may do everything.
    public var security: CoordinatorSecurity?
    /// For preparing and finishing jobs.
    public var context = RunContext(threads: ThreadTeam.availableCPUs)
    /// Jobs of clients that are being prepared at a time.
    public var preparingLimit = 64
    /// Jobs that are over and still shown; as many again that never began.
    public var memory = 100
    /// Time for running shards to end when the coordinator is asked to.
    public var graceMilliseconds = 30_000
    /// Time for threads to come back after that. A filesystem that hangs keeps them for ever.
    public var threadMilliseconds = 5_000
    /// Between two tries of a job of an earlier life whose inputs are not there.
    public var retryMilliseconds = 30_000

    public init() {}
  }

  public struct Listening: Sendable {
    public var control: Endpoint
    public var data: Endpoint

    public init(control: Endpoint, data: Endpoint) {
      self.control = control
      self.data = data
    }
  }

  nonisolated let loop: EventLoop
  public nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

  nonisolated let configuration: Configuration
  nonisolated let context: Context
  nonisolated let logger: Logger
  /// Prepares and finishes jobs.
  nonisolated let jobThreads = ThreadPool(count: 4)
  nonisolated let readThreads = ThreadPool(count: min(4, max(2, ThreadTeam.availableCPUs)))
  /// Few: writers of one file wait for each other.
  nonisolated let writeThreads = ThreadPool(count: min(4, max(1, ThreadTeam.availableCPUs / 2)))
  private nonisolated let nextJob: Atomic<Int>
  nonisolated let startedAt: Instant

  var scheduler: Scheduler
  var control: Socket?
  var data: Socket?
  var connections: ConnectionGuard?
  var watches: [EventLoop.Watch] = []
  lazy var dataServer = makeDataServer()
  var jobs: [JobID: ServedJob] = [:]
  var workers: [SessionID: WorkerRecord] = [:]
  /// Who waits to hear whether a job that is being prepared runs.
  var replies: [JobID: @Sendable (Result<JobID, Failure>) -> Void] = [:]
  /// How often each job was handed to the scheduler.
  var timesRun: [JobID: Int] = [:]
  var isEnding = false
  private var endingSince: Instant?
  private var onEnd: (@Sendable (Failure?) -> Void)?
  /// Why it cannot go on.
  private(set) var fatal: Failure?
  var authenticator: Authenticator?
  var keyWatch: KeyFolderWatch?
  var keyTrouble: [Problem] = []
  var isLookingAtKeys = false
  /// Looks at the folder of keys: what a job waits for must not keep a key in force.
  lazy var keyThread = ThreadPool(count: 1)
  /// Messages that were not even handed on, and answers that nobody read, by reason.
  var ignored: [String: Int] = [:]
  var refusals = RefusalLog()
  var history = RecentHistory()
  /// Workers that come and go are told as long as they are not too many.
  var comings = EventLimit(100)
  /// And so are their answers to offers.
  var preparations = EventLimit(100)
  /// And so are jobs that end before they begin.
  var stillbirths = EventLimit(100)
  /// Shared with libzmq's threads, which give back what was sent.
  private nonisolated let budget = SharedSendBudget()

  /// What is remembered of a worker beside what the scheduler knows.
  struct WorkerRecord {
    var meter = RateMeter()
    let joinedAt: Instant
  }

  public init(_ configuration: Configuration, context: Context, loop: EventLoop, logger: Logger) {
    self.configuration = configuration
    self.context = context
    self.loop = loop
    self.logger = logger
    nextJob = Atomic(configuration.nextJob)
    startedAt = Self.now
    scheduler = Scheduler(configuration: configuration.scheduling, epoch: configuration.epoch, at: startedAt)
  }

  static var now: Instant { Instant(nanoseconds: bootNanoseconds()) }

  // MARK: from outside

  /// Runs something on the loop and waits for it. Not from the loop itself.
  private nonisolated func onLoop<Value: Sendable>(
    _ work: @escaping @Sendable (isolated CoordinatorService) -> Result<Value, Failure>
  ) throws(Failure) -> Value {
    let result = Mutex<Result<Value, Failure>?>(nil)
    let done = DispatchSemaphore(value: 0)
    loop.perform {
      self.assumeIsolated { service in
        let value = work(service)
        result.withLock { $0 = value }
      }
      done.signal()
    }
    done.wait()
    guard let value = result.withLock({ $0 }) else { preconditionFailure("it was signalled") }
    return try value.get()
  }

  /// Opens sockets for peers; again for more endpoints.
  ///
  /// - Returns: where it listens now: ports that the system chose are filled in.
  /// - Throws: `unavailable` where an endpoint is taken.
  @discardableResult
  public nonisolated func listen(_ endpoints: [Listening]) throws(Failure) -> [Listening] {
    try onLoop { service in service.open(endpoints) }
  }

  private func open(_ endpoints: [Listening]) -> Result<[Listening], Failure> {
    var opened: [Listening] = []
    do throws(Failure) {
      for endpoint in endpoints {
        do throws(ZeroMQError) {
          if control == nil { try openSockets() }
          var actual = endpoint
          if let port = try control?.bind(endpoint.control) { actual.control = endpoint.control.with(port: port) }
          if let port = try data?.bind(endpoint.data) {
            actual.data = endpoint.data.with(port: port)
            scheduler.announce(dataPort: port)
          }
          opened.append(actual)
        } catch {
          throw Failure(error, remedy: "choose another address with --listen, or end what uses this one")
        }
      }
    } catch {
      return .failure(error)
    }
    return .success(opened)
  }

  private func openSockets() throws(ZeroMQError) {
    try openAccess()
    let key = configuration.security?.key
    let control = try Socket(.router, in: context, SocketOptions.listening(maxMessageSize: SocketOptions.control, key: key))
    let data = try Socket(.router, in: context, SocketOptions.listening(maxMessageSize: SocketOptions.data, key: key))
    connections = try ConnectionGuard([control, data], in: context, name: "coordinator-\(ObjectIdentifier(self).hashValue)")
    watches.append(loop.every(milliseconds: ConnectionGuard.interval) { [weak self] in self?.assumeIsolated { $0.endUnfinished() } })
    watches.append(loop.watch(control) { [weak self] in self?.assumeIsolated { $0.receiveControl() } })
    watches.append(loop.watch(data) { [weak self] in self?.assumeIsolated { $0.receiveData() } })
    watches.append(loop.every(milliseconds: 200) { [weak self] in self?.assumeIsolated { $0.tick() } })
    self.control = control
    self.data = data
  }

  /// Closes the sockets at once.
  public nonisolated func stop() {
    loop.perform { self.assumeIsolated { $0.close() } }
  }

  private func close() {
    for watch in watches { loop.end(watch) }
    watches = []
    (control, data, connections) = (nil, nil, nil)
    closeAccess()
    jobThreads.stop()
    readThreads.stop()
    writeThreads.stop()
  }

  /// Waits for the threads of a coordinator that has ended: what they still write must be in the journal before that is
  /// closed.
  ///
  /// - Returns: whether they have come back; nothing that is promised hangs on those that have not.
  @discardableResult
  public nonisolated func finishThreads() -> Bool {
    jobThreads.stop()
    return jobThreads.join(milliseconds: configuration.threadMilliseconds)
  }

  /// Grants nothing more, lets running shards and publishing end within the grace time, and closes.
  ///
  /// - Parameter completion: told why, if it ended because it could not go on.
  public nonisolated func end(_ completion: @escaping @Sendable (Failure?) -> Void) {
    loop.perform {
      self.assumeIsolated { service in
        service.onEnd = completion
        service.beginEnding()
      }
    }
  }

  /// Calls `completion` when the coordinator cannot go on and has ended.
  public nonisolated func onFailure(_ completion: @escaping @Sendable (Failure?) -> Void) {
    loop.perform { self.assumeIsolated { $0.onEnd = completion } }
  }

  private func beginEnding() {
    guard !isEnding else { return }
    isEnding = true
    endingSince = Self.now
    tell(.stopGranting)
    endIfDone()
  }

  /// The journal takes no more: nothing can be promised any more, so everything stops where it is.
  func journalFailed(_ failure: Failure) {
    guard fatal == nil else { return }
    logger.critical("\(failure)")
    // Whoever waits can run it again, when there is room.
    fatal = Failure(.interrupted, failure.problems)
    for id in jobs.keys where jobs[id]?.state == .running {
      jobs[id]?.failure = fatal
      tell(.cancel(id))
    }
    beginEnding()
  }

  private func endIfDone() {
    guard isEnding, let since = endingSince, let onEnd else { return }
    let isPatient = Self.now.milliseconds(since: since) < configuration.graceMilliseconds
    let isFinishing = jobs.values.contains { $0.state == .finishing || $0.waitsForQuiet }
    if isFinishing || isPatient && (scheduler.leaseCount > 0 || !replies.isEmpty) { return }
    self.onEnd = nil
    answerBeforeEnding()
    close()
    onEnd(fatal)
  }

  // MARK: the loop

  private func tick() {
    tell(.tick)
    retryWaitingJobs()
    endIfDone()
  }

  func tell(_ event: Scheduler.Event) {
    // Commands can lead to more events; each is handled in its turn.
    events.append(event)
    guard !isHandling else { return }
    isHandling = true
    while !events.isEmpty {
      let event = events.removeFirst()
      for command in scheduler.handle(event, at: Self.now) { perform(command) }
    }
    isHandling = false
  }

  private var events: [Scheduler.Event] = []
  private var isHandling = false

  private func perform(_ command: Scheduler.Command) {
    switch command {
    case .send(let envelope, let route): send(envelope.encoded(), to: route.bytes)
    case .commit(let finished, let session): commit(finished, from: session, keeps: true)
    case .check(let finished, let session): commit(finished, from: session, keeps: false)
    case .verify(let job, let shard, let expected): readBack(job, shard, expected)
    case .checked(let job, let shard, let matches): checked(job, shard, matches)
    case .sum(let job, let file): sum(job, file)
    case .summed(let job, let file, let sha256): summed(job, file, sha256)
    case .leasesEnded(let leases): dataServer.assumeIsolated { server in for key in leases { server.end(key) } }
    case .jobDone(let job): finish(job)
    case .jobFailing(let job, let problem): failing(job, problem)
    case .jobStopped(let job): stopped(job)
    case .note(let note): log(note)
    }
  }

  func send(_ bytes: [UInt8], to route: [UInt8]) {
    guard let control, let frame = withinBudget(bytes, route) else { return }
    // A peer that is gone is noticed by its silence.
    do { _ = try control.send([Frame(route), frame]) } catch { logger.error("cannot send: \(error)") }
  }

  /// - Returns: nil where the peer leaves too much unread. Whatever is lost so is said again, as after a lost connection.
  private func withinBudget(_ bytes: [UInt8], _ route: [UInt8]) -> Frame? {
    if let frame = budget.frame(bytes, for: route) { return frame }
    ignored["unread-answer", default: 0] += 1
    return nil
  }

  private func receiveControl() {
    guard let control else { return }
    var left = 256
    while left > 0, let (parts, wasCut) = try? connections?.receive(from: control, partLimit: 2) {
      left -= 1
      let route = parts[0].bytes
      guard parts.count == 2, !wasCut else {
        complain("a message of another number of parts", peer(parts[parts.count - 1]))
        continue
      }
      let peer = peer(parts[1])
      do throws(WireError) {
        let message = try parts[1].withBytes { bytes throws(WireError) in try Inbound.decode(bytes) }
        guard AccessPolicy.allows(message, peer.roles) else {
          refuse(message, of: peer, route)
          continue
        }
        switch message {
        case .worker(let envelope): tell(.received(envelope, from: Route(route, user: peer.user)))
        case .client(let request, let number): answer(request, number, route)
        }
      } catch {
        complain("\(error)", peer)
        if case .version = error { rejectVersion(error, route) }
      }
    }
  }

  private func rejectVersion(_ error: WireError, _ route: [UInt8]) {
    let message = "\(error) here; run the same version of expomerge everywhere"
    let envelope = CoordinatorEnvelope(
      session: SessionID(0), epoch: configuration.epoch, seq: 0, heard: 0, message: .rejected(.init(.version, message)))
    send(envelope.encoded(), to: route)
  }

  /// Once a minute for each key: a peer without one can come back as another whenever it likes.
  private func complain(_ what: String, _ peer: Peer) {
    ignored["unreadable", default: 0] += 1
    guard refusals.shouldTell("unreadable \(peer.user ?? "")", at: bootNanoseconds()) else { return }
    logger.warning("ignored from \(peer.user == nil ? "a peer" : peer.name): \(what); told once a minute")
  }

  // MARK: data

  private func makeDataServer() -> DataServer {
    DataServer(loop: loop, window: configuration.scheduling.window, readThreads: readThreads, writeThreads: writeThreads) { [weak self] route, message, frame in
      self?.assumeIsolated { service in
        // Slices count for themselves: so much of them is read at a time.
        guard let header = service.withinBudget(message.encoded(), route) else { return }
        _ = try? service.data?.send([Frame(route), header] + (frame.map { [$0] } ?? []))
      }
    } didBecomeQuiet: { [weak self] job in
      self?.assumeIsolated { $0.didBecomeQuiet(job) }
    }
  }

  private func receiveData() {
    guard let data else { return }
    var left = 32
    while left > 0, let (parts, wasCut) = try? connections?.receive(from: data, partLimit: 3) {
      left -= 1
      let route = parts[0].bytes
      guard parts.count >= 2, !wasCut, let message = try? parts[1].withBytes({ try DataMessage.decode($0) }) else {
        complain("a data message that is not understood", peer(parts[parts.count - 1]))
        continue
      }
      let peer = peer(parts[1])
      let isPermitted = AccessPolicy.allowsData(peer.roles)
      if !isPermitted { ignored["not-permitted", default: 0] += 1 }
      switch message {
      case .fetch(let fetch) where isPermitted && scheduler.hasSession(fetch.session, of: peer.user):
        let source = jobs[fetch.job]?.source
        dataServer.assumeIsolated { $0.fetch(fetch, from: route, of: source) }
      case .store(let store) where parts.count == 3:
        let isHolder =
          isPermitted && scheduler.hasSession(store.session, of: peer.user) && scheduler.holder(of: store.key) == store.session
        let merge = isHolder ? jobs[store.job]?.merge : nil
        let frame = parts[2]
        dataServer.assumeIsolated { $0.store(store, frame, from: route, merge: merge) }
      case .fetch(let fetch):
        let problem = ProblemReport(Problem(.dataRefused, "the session is over"))
        guard let frame = withinBudget(DataMessage.refused(.init(tag: fetch.tag, problem: problem)).encoded(), route) else { break }
        _ = try? data.send([Frame(route), frame])
      default: complain("a data message out of place", peer)
      }
    }
  }

  nonisolated func newJobID() -> JobID {
    JobID(nextJob.wrappingAdd(1, ordering: .relaxed).oldValue)
  }
}

extension Endpoint {
  fileprivate func with(port: Int) -> Endpoint { resolving(dataPort: port) }
}
