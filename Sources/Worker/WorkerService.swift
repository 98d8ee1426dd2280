import Checkpoint
public import Diagnostics
import Digests
public import FileIO
import Glibc
import Kernels
import Keys
public import Logging
public import Monitoring
public import Planning
public import Scheduling
import Synchronization
import SystemPackage
import Threads
public import Transport
import Wire
public import ZeroMQ

/// A worker: sockets, files and threads around a `WorkerSession`.
///
/// The actor runs on the loop's thread, which owns the sockets; slots compute; a few more threads open files. None of
/// these waits for another.
public actor WorkerService {
  public struct Configuration: Sendable {
    public var coordinator: Endpoint
    /// nil for a coordinator without keys.
    public var credentials: Credentials?
    public var name: String
    public var slots: Int
    public var roots: Roots
    public var readMethod: ReadMethod?
    /// Bytes of output a second; nil for no limit.
    public var rateLimit: Int?
    /// Seconds without a lease after which the worker ends; nil waits for ever.
    public var idleSeconds: Int?
    public var version: String
    public var calls = SystemCalls.live
    /// Starts writing each shard to the disk, so that the last sync finds little to do.
    public var startsWriteback = true

    public init(
      coordinator: Endpoint, name: String, slots: Int, roots: Roots, readMethod: ReadMethod? = nil,
      rateLimit: Int? = nil, version: String
    ) {
      self.coordinator = coordinator
      self.name = name
      self.slots = slots
      self.roots = roots
      self.readMethod = readMethod
      self.rateLimit = rateLimit
      self.version = version
    }
  }

  nonisolated let loop: EventLoop
  public nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

  nonisolated let configuration: Configuration
  nonisolated let context: Context
  nonisolated let logger: Logger
  nonisolated let onEnd: @Sendable (WorkerSession.Ending) -> Void
  nonisolated let fence = Fence()
  nonisolated let memory: SliceMemoryPool
  nonisolated let slots: ThreadPool
  nonisolated let helpers = ThreadPool(count: 2)
  nonisolated let rateLimit: RateLimit

  var session: WorkerSession
  var control: Socket?
  var monitor: SocketMonitor?
  var data: DataLink?
  var dataSocket: Socket?
  var dataEndpoint: Endpoint?
  var watches: [EventLoop.Watch] = []
  var timer: EventLoop.Watch?
  var jobs: [JobID: JobFiles] = [:]
  /// Jobs that are being looked at, with the description as far as it has come.
  var offers: [JobID: (offer: CoordinatorMessage.JobOffer, description: [UInt8], missing: Int)] = [:]
  /// Events that came while another one was handled.
  private var events: [WorkerSession.Event] = []
  private var isHandling = false
  /// By fingerprint: a worker that comes back need not ask again.
  var plans: [(fingerprint: Digest128, plan: Plan)]
  var tasks: [WorkerSession.TaskID: Running] = [:]
  var connections = 0
  private var troubles = RefusalLog()
  private let startedAt = WorkerService.now
  /// Since the process started.
  var shardsDone = 0
  var bytesDone = 0
  var shardsFailed = 0

  /// A task, and what is known of its end.
  struct Running {
    let task: WorkerTask
    /// What the slot has found, while the output is still on its way.
    var result: (ShardResult, milliseconds: Int)?
    /// Whether all of a streamed output is stored.
    var isDelivered = false
  }

  private static let planLimit = 4
  /// Mappings of chunks that are kept for later.
  private static let spareChunks = 32

  /// - Parameters:
  ///   - plans: what is known without asking: in the coordinator's own process.
  ///   - seed: from the system's randomness.
  ///   - onEnd: called on the loop when the worker has drained or was rejected.
  public init(
    _ configuration: Configuration, context: Context, loop: EventLoop, logger: Logger, plans: [Plan] = [],
    seed: UInt64 = .random(in: 0...UInt64.max), onEnd: @escaping @Sendable (WorkerSession.Ending) -> Void
  ) {
    self.configuration = configuration
    self.context = context
    self.loop = loop
    self.logger = logger
    self.onEnd = onEnd
    self.plans = plans.map { ($0.fingerprint, $0) }
    memory = SliceMemoryPool(limit: Self.spareChunks)
    slots = ThreadPool(count: configuration.slots)
    rateLimit = RateLimit(bytesPerSecond: configuration.rateLimit)
    let hello = WorkerMessage.Hello(
      name: configuration.name, host: hostName, process: Int(getpid()), slots: configuration.slots,
      version: configuration.version, level: CPULevel.best.rawValue)
    var sessionConfiguration = WorkerSession.Configuration(hello: hello)
    sessionConfiguration.idleMilliseconds = configuration.idleSeconds.map { $0 * 1000 }
    session = WorkerSession(sessionConfiguration, seed: seed, at: Self.now)
  }

  static var now: Instant { Instant(nanoseconds: bootNanoseconds()) }

  // MARK: from outside

  public nonisolated func start() {
    loop.perform {
      self.assumeIsolated { worker in
        worker.timer = worker.loop.every(milliseconds: 100) { [weak worker] in
          worker?.assumeIsolated { $0.tick() }
        }
        worker.tell(.tick)
      }
    }
  }

  /// Finishes what runs, gives back the rest, and ends.
  public nonisolated func drain(reason: String) {
    loop.perform { self.assumeIsolated { $0.tell(.drain(reason: reason)) } }
  }

  /// - Parameter bytesPerSecond: of output, at least 1; nil for no limit.
  public nonisolated func changeRateLimit(to bytesPerSecond: Int?) {
    rateLimit.change(to: bytesPerSecond)
  }

  /// Closes everything at once. What runs ends at its next block.
  public nonisolated func stop() {
    loop.perform { self.assumeIsolated { $0.close() } }
  }

  /// What is shown to whoever looks.
  public func view() -> WorkerView {
    let running = session.runningCount
    return WorkerView(
      name: configuration.name, host: hostName, version: configuration.version, coordinator: "\(configuration.coordinator)",
      isConnected: session.isActive, isDraining: session.isDraining, slots: configuration.slots, running: running,
      queued: session.taskCount - running, shards: shardsDone, bytes: bytesDone, failures: shardsFailed,
      uptimeSeconds: Self.now.seconds(since: startedAt))
  }

  private func close() {
    for running in tasks.values { running.task.abandon() }
    disconnect()
    if let timer { loop.end(timer) }
    timer = nil
    slots.stop()
    helpers.stop()
  }

  // MARK: the session

  private func tick() {
    for running in tasks.values { tell(.progress(running.task.id, bytes: running.task.progress)) }
    watchData()
    tell(.tick)
  }

  func tell(_ event: WorkerSession.Event) {
    // Commands can lead to more events; each is handled in its turn.
    events.append(event)
    guard !isHandling else { return }
    isHandling = true
    while !events.isEmpty {
      let event = events.removeFirst()
      for command in session.handle(event, at: Self.now) { perform(command) }
    }
    isHandling = false
  }

  private func perform(_ command: WorkerSession.Command) {
    switch command {
    case .connect: connect()
    case .disconnect: disconnect()
    case .send(let envelope):
      // What cannot be sent now is said again, or made good by the next beat.
      do { _ = try control?.send([Frame(envelope.encoded())]) } catch { logger.error("cannot send: \(error)") }
    case .prepare(let offer): prepare(offer)
    case .forget(let job): forget(job)
    case .stage(let id, let key, let work): stage(id, key, work)
    case .compute(let id): compute(id)
    case .abandon(let id): abandon(id)
    case .fence(let instant): fence.move(to: instant)
    case .note(let note): log(note)
    case .end(let ending):
      logger.info("ended")
      close()
      onEnd(ending)
    }
  }

  /// Every second attempt.
  private var triesIPv6: Bool { connections % 2 == 0 }

  private func connect() {
    disconnect()
    connections += 1
    do throws(ZeroMQError) {
      let socket = try Socket(
        .dealer, in: context,
        SocketOptions.connecting(
          to: configuration.coordinator, maxMessageSize: SocketOptions.control, ipv6: triesIPv6,
          credentials: configuration.credentials))
      let monitor = try SocketMonitor(socket, in: context, name: "worker-\(ObjectIdentifier(self).hashValue)-\(connections)")
      try socket.connect(configuration.coordinator)
      watches.append(loop.watch(socket) { [weak self] in self?.assumeIsolated { $0.receiveControl() } })
      watches.append(loop.watch(monitor.socket) { [weak self] in self?.assumeIsolated { $0.observe() } })
      self.monitor = monitor
      control = socket
    } catch {
      logger.error("cannot connect to \(configuration.coordinator): \(error)")
    }
  }

  private func disconnect() {
    for watch in watches { loop.end(watch) }
    watches = []
    (control, monitor, data, dataSocket) = (nil, nil, nil, nil)
    offers = [:]
  }

  private func receiveControl() {
    var left = 64
    while left > 0, let (parts, wasCut) = try? control?.receive(partLimit: 1) {
      left -= 1
      guard !wasCut else { continue }
      do throws(WireError) {
        let envelope = try parts[0].withBytes { bytes throws(WireError) in try CoordinatorEnvelope.decode(bytes) }
        if case .welcome(let welcome) = envelope.message, data == nil { connectData(welcome) }
        tell(.received(envelope))
      } catch {
        logger.warning("ignored a message of the coordinator: \(error)")
      }
    }
  }

  private func connectData(_ welcome: CoordinatorMessage.Welcome) {
    do throws(ZeroMQError) {
      let endpoint = configuration.coordinator.resolving(dataPort: welcome.dataPort)
      let socket = try Socket(
        .dealer, in: context,
        SocketOptions.connecting(
          to: endpoint, maxMessageSize: SocketOptions.data, ipv6: triesIPv6, credentials: configuration.credentials))
      try socket.connect(endpoint)
      watches.append(loop.watch(socket) { [weak self] in self?.assumeIsolated { $0.receiveData() } })
      dataEndpoint = endpoint
      dataSocket = socket
      data = DataLink(socket, session: session.session, window: welcome.window, at: Self.now)
    } catch {
      logger.error("cannot connect for data: \(error)")
    }
  }

  /// What becomes of the connection, for the log.
  private func observe() {
    while let event = try? monitor?.next() {
      switch event.kind {
      case .connected: logger.debug("connected to \(event.endpoint)")
      case .disconnected: logger.debug("the connection to \(event.endpoint) was lost")
      case .handshakeFailed:
        turnedAway(
          configuration.credentials == nil
            ? "no understanding with who is there: is it the coordinator's --listen, and does it want --keys?"
            : "no understanding with who is there: is it the coordinator's --listen, has it keys, and is --server-key its key?")
      case .authenticationFailed:
        let key = configuration.credentials?.own.publicKey.fingerprint ?? "none"
        turnedAway(
          "the coordinator does not let this worker in (key \(key)): copy its NAME.key to the coordinator's --authorized folder")
      default: break
      }
    }
  }

  /// The connection is made anew after a pause that grows; libzmq itself would try again at once, or never.
  private func turnedAway(_ reason: String) {
    if session.isActive && troubles.shouldTell(reason, at: bootNanoseconds()) {
      logger.warning("\(configuration.coordinator): \(reason)")
    }
    tell(.turnedAway(reason))
  }

  private func log(_ note: WorkerSession.Note) {
    switch note {
    case .connecting(let attempt):
      if attempt == 1 {
        logger.info("connecting to \(configuration.coordinator)")
      } else {
        logger.debug("connecting to \(configuration.coordinator), attempt \(attempt)")
      }
    case .welcomed(let epoch):
      logger.info("joined \(configuration.coordinator), epoch \(epoch), as \(configuration.name) with \(configuration.slots) slots")
    case .sessionOver(let reason, let retry):
      // What stays as it is, is told once a minute.
      let isNews = session.epoch != 0 || troubles.shouldTell(reason, at: bootNanoseconds())
      let line: Logger.Message = "\(configuration.coordinator): \(reason); trying again, now in \(retry) ms"
      if isNews { logger.warning(line) } else { logger.debug(line) }
    case .refused(let reason): logger.error("\(configuration.coordinator) does not take this worker: \(reason)")
    case .draining(let reason, let running):
      logger.info("draining (\(reason)): \(running == 1 ? "1 shard is" : "\(running) shards are") finished first")
    case .revoked(let attempt): logger.debug("\(attempt) was revoked")
    }
  }

  // MARK: jobs

  private func prepare(_ offer: CoordinatorMessage.JobOffer) {
    if let known = plans.first(where: { $0.fingerprint == offer.plan })?.plan {
      return probe(offer, known, session.session)
    }
    guard let data else { return refuse(offer.job, session.session, noData) }
    offers[offer.job] = (offer, [UInt8](repeating: 0, count: offer.descriptionBytes), offer.descriptionBytes)
    data.fetchDescription(of: offer.job, bytes: offer.descriptionBytes)
  }

  func described(_ job: JobID, _ frame: Frame, at offset: Int) {
    guard offers[job] != nil, offset + frame.count <= offers[job]!.description.count else { return }
    offers[job]!.description.replaceSubrange(offset..<offset + frame.count, with: frame.bytes)
    offers[job]!.missing -= frame.count
    guard offers[job]!.missing == 0, let complete = offers.removeValue(forKey: job) else { return }
    let started = session.session
    helpers.submit { [self] in
      do throws(Failure) {
        let plan = try JobDescription.plan(from: complete.description)
        guard plan.fingerprint == complete.offer.plan else {
          throw Failure(
            .badData,
            Problem(
              .planDiffers, "this worker plans the job differently than the coordinator",
              remedy: "run the same version of expomerge everywhere"))
        }
        loop.perform { self.assumeIsolated { $0.planned(complete.offer, plan, started) } }
      } catch {
        let problem = error.problems[0]
        loop.perform { self.assumeIsolated { $0.refuse(job, started, problem) } }
      }
    }
  }

  private func planned(_ offer: CoordinatorMessage.JobOffer, _ plan: Plan, _ started: SessionID) {
    // A coordinator that has begun again counts its jobs from 1 again.
    guard session.session == started else { return }
    plans.append((offer.plan, plan))
    if plans.count > Self.planLimit { plans.removeFirst() }
    probe(offer, plan, started)
  }

  /// - Parameter started: the session that the job was offered in.
  func refuse(_ job: JobID, _ started: SessionID, _ problem: Problem) {
    guard session.session == started else { return }
    offers[job] = nil
    logger.error("job \(job) is refused: \(problem)")
    tell(.prepared(.init(job: job, refusal: ProblemReport(problem))))
  }

  private func probe(_ offer: CoordinatorMessage.JobOffer, _ plan: Plan, _ started: SessionID) {
    let configuration = configuration
    helpers.submit { [self] in
      guard plan.aligned.files.map(\.size) == offer.aligned.files.map(\.bytes),
        plan.sft.files.map(\.size) == offer.sft.files.map(\.bytes)
      else {
        let problem = Problem(.planDiffers, "the offer does not fit its plan")
        return loop.perform { self.assumeIsolated { $0.refuse(offer.job, started, problem) } }
      }
      let files = JobFiles(
        offer, plan: plan, roots: configuration.roots, method: configuration.readMethod, calls: configuration.calls)
      loop.perform { self.assumeIsolated { $0.probed(files, started) } }
    }
  }

  private func probed(_ files: JobFiles, _ started: SessionID) {
    // The session may have ended meanwhile, or the job.
    let prepared = files.prepared
    guard session.session == started, session.isLooking(at: prepared.job) else { return }
    jobs[prepared.job] = files
    let inputs = prepared.aligned + prepared.sft
    let direct = inputs.count { $0 == .direct }
    logger.info(
      "job \(prepared.job): \(direct) of \(inputs.count) input files direct, \(inputs.count - direct) streamed; output \(prepared.output.rawValue)")
    for note in prepared.notes { logger.warning("job \(prepared.job): \(note.problem)") }
    tell(.prepared(prepared))
  }

  private func forget(_ job: JobID) {
    let files = jobs.removeValue(forKey: job)
    offers[job] = nil
    // Closing can take long, where it has to wait for a network filesystem.
    helpers.submit { withExtendedLifetime(files) {} }
    if jobs.isEmpty { memory.clear() }
  }
}

extension Problem.Code {
  public static let planDiffers = Self("plan-differs")
}

/// gethostname(2).
public var hostName: String {
  var name = [CChar](repeating: 0, count: 256)
  gethostname(&name, name.count - 1)
  return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}
