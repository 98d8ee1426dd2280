public import Diagnostics
public import Digests
import Planning
public import Wire

/// A worker's side of the protocol. Pure: events in, commands out; time and randomness come from outside.
///
/// It keeps a session with the coordinator for as long as the two hear each other, holds leases, decides what is
/// fetched and computed next, and says a result again until it is acknowledged. When the coordinator was silent for
/// too long it stops everything (`Command.fence` has ended the writing before) and begins a new session.
public struct WorkerSession: Sendable {
  public struct Configuration: Sendable {
    public var hello: WorkerMessage.Hello
    /// Until a hello is answered; then the connection is made anew.
    public var greetingMilliseconds = 3000
    /// Between two attempts to reach the coordinator: from the first to the second, doubling, with jitter.
    public var backoffMilliseconds = 250...10_000
    /// Until an unacknowledged result is said again.
    public var resendMilliseconds = 2000
    /// Without a lease, after which the worker ends; nil waits for ever.
    public var idleMilliseconds: Int?

    public init(hello: WorkerMessage.Hello) {
      self.hello = hello
    }
  }

  /// A lease as the worker's threads know it; never used twice.
  public struct TaskID: Sendable, Hashable {
    public let number: Int
  }

  /// What is to be done with a lease.
  public enum Work: Sendable, Equatable {
    case compute
    /// Read back what the output holds, and digest it.
    case check
    /// Read an output file, for its SHA-256.
    case sum
  }

  public enum Event: Sendable {
    /// Time has passed; several times a second.
    case tick
    case received(CoordinatorEnvelope)
    /// Whoever is at the coordinator's address is not understood, or does not let the worker in.
    case turnedAway(String)
    /// The answer to `Command.prepare`.
    case prepared(WorkerMessage.Prepared)
    /// The inputs of a task are at hand.
    case staged(TaskID)
    /// More bytes were fetched, computed or sent.
    case progress(TaskID, bytes: Int)
    /// The slot is free again. A streamed output may still be on its way.
    case computed(TaskID)
    case finished(
      TaskID, digests: [Digest128], milliseconds: Int, segments: [WorkerMessage.Finished.Segment], sha256: String? = nil)
    case failed(TaskID, WorkerMessage.Failed.Cause, input: WorkerMessage.Failed.Input?, Problem)
    /// A task has left its slot without a result: it was abandoned, or the fence has ended it.
    case left(TaskID)
    /// Finish what runs, give back the rest, and end.
    case drain(reason: String)
  }

  public enum Command: Sendable, Equatable {
    /// New sockets, as names and addresses may have changed.
    case connect(SessionID)
    case disconnect
    case send(WorkerEnvelope)
    case prepare(CoordinatorMessage.JobOffer)
    case forget(JobID)
    /// Get the inputs of a task, in the order of these commands.
    case stage(TaskID, Attempt, Work)
    case compute(TaskID)
    /// Stop working on a task and drop what it has.
    case abandon(TaskID)
    /// Nothing may be written from then on.
    case fence(Instant)
    case note(Note)
    /// The worker is done; nothing follows.
    case end(Ending)
  }

  public enum Ending: Sendable, Equatable {
    case drained
    case rejected(String)
  }

  public enum Note: Sendable, Equatable {
    case connecting(attempt: Int)
    case welcomed(epoch: Int)
    /// Why, and the milliseconds until the next attempt.
    case sessionOver(String, retryIn: Int)
    /// The coordinator does not want this worker; it is asked again later.
    case refused(String)
    case draining(String, running: Int)
    case revoked(Attempt)
  }

  enum Phase: Sendable, Equatable {
    case waiting(until: Instant)
    case greeting(since: Instant)
    case active
    case ended
  }

  struct Task: Sendable {
    enum Phase: Sendable, Equatable {
      case staging, ready, computing, delivering, reported
    }

    let id: TaskID
    let key: Attempt
    var phase = Phase.staging
    var progress = 0
    var report: WorkerMessage?
    var reportedAt = Instant.distantPast
  }

  public let configuration: Configuration
  var random: SplitMix64
  var now: Instant
  var phase: Phase
  var attempts = 0
  public internal(set) var session = SessionID(0)
  public internal(set) var epoch = 0
  var beatMilliseconds = 1000
  var leaseMilliseconds = 5000
  /// The highest `seq` of the session.
  var seen = 0
  var beatNumber = 0
  var lastBeat = Instant.distantPast
  /// When it last had a lease, or began.
  var lastBusy: Instant
  var beatIsDue = false
  /// When the beats were sent that have not been answered.
  var beatTimes: [(number: Int, time: Instant)] = []
  public internal(set) var fence = Instant.distantPast
  /// nil while a job is being looked at.
  var jobs: [JobID: WorkerMessage.Prepared?] = [:]
  /// In the order of their grants.
  var tasks: [Task] = []
  /// Abandoned tasks that have not left their slots.
  var leaving: Set<TaskID> = []
  var nextTask = 1
  public internal(set) var isDraining = false
  var commands: [Command] = []
  public internal(set) var discarded: [String: Int] = [:]

  /// - Parameter seed: from the system's randomness, so that no two workers pick the same sessions.
  public init(_ configuration: Configuration, seed: UInt64, at now: Instant) {
    self.configuration = configuration
    random = SplitMix64(seed: seed)
    self.now = now
    lastBusy = now
    phase = .waiting(until: now)
  }

  public mutating func handle(_ event: Event, at now: Instant) -> [Command] {
    self.now = max(now, self.now)
    if phase != .ended {
      switch event {
      case .tick: tick()
      case .received(let envelope): receive(envelope)
      case .turnedAway(let reason): if phase.isGreeting { leave(reason) }
      case .prepared(let prepared): answer(prepared)
      case .staged(let id): update(id) { if $0.phase == .staging { $0.phase = .ready } }
      case .progress(let id, let bytes): update(id) { $0.progress = max($0.progress, bytes) }
      case .computed(let id):
        // It may have been abandoned while this was on its way.
        leaving.remove(id)
        update(id) { if $0.phase == .computing { $0.phase = .delivering } }
      case .finished(let id, let digests, let milliseconds, let segments, let sha256):
        report(id) {
          .finished(.init($0, digests: digests, milliseconds: milliseconds, segments: segments, sha256: sha256))
        }
      case .failed(let id, let cause, let input, let problem):
        report(id) { .failed(.init($0, cause: cause, input: input, problem: .init(problem))) }
      case .left(let id): left(id)
      case .drain(let reason): drain(reason)
      }
      advance()
    }
    defer { commands = [] }
    return commands
  }

  // MARK: the session

  private mutating func tick() {
    if !tasks.isEmpty || !leaving.isEmpty { lastBusy = now }
    if let idle = configuration.idleMilliseconds, now >= lastBusy.adding(milliseconds: idle) {
      return drain("nothing to do for \(idle / 1000) s")
    }
    switch phase {
    case .waiting(let until) where now >= until && !isDraining: connect()
    case .greeting(let since) where now >= since.adding(milliseconds: configuration.greetingMilliseconds):
      leave("no coordinator answers (does it run, and is this its --listen?)")
    case .active where now >= fence: leave("the coordinator is silent")
    case .active:
      if now >= lastBeat.adding(milliseconds: beatMilliseconds) { beatIsDue = true }
      for index in tasks.indices where tasks[index].phase == .reported {
        guard now >= tasks[index].reportedAt.adding(milliseconds: configuration.resendMilliseconds) else { continue }
        say(index)
      }
    default: break
    }
  }

  private mutating func connect() {
    attempts += 1
    session = SessionID(random.next())
    (epoch, seen, beatNumber, beatTimes) = (0, 0, 0, [])
    phase = .greeting(since: now)
    commands.append(.connect(session))
    commands.append(.note(.connecting(attempt: attempts)))
    send(.hello(configuration.hello))
  }

  private mutating func send(_ message: WorkerMessage) {
    commands.append(.send(WorkerEnvelope(session: session, epoch: epoch, message: message)))
  }

  /// Ends the session and everything that depends on it, and waits for the next.
  private mutating func leave(_ reason: String) {
    for task in tasks { abandon(task) }
    tasks = []
    for job in jobs.keys.sorted() { commands.append(.forget(job)) }
    jobs = [:]
    commands.append(.disconnect)
    phase = .waiting(until: now)
    if isDraining { return }
    let range = configuration.backoffMilliseconds
    let longest = min(range.lowerBound << min(attempts, 16), range.upperBound)
    // Many workers that lost one coordinator must not all come back at once.
    let time = longest / 2 + Int(random.next() % UInt64(longest / 2 + 1))
    phase = .waiting(until: now.adding(milliseconds: time))
    commands.append(.note(.sessionOver(reason, retryIn: time)))
  }

  private mutating func receive(_ envelope: CoordinatorEnvelope) {
    if case .rejected(let rejected) = envelope.message {
      return receive(rejected, envelope)
    }
    guard envelope.session == session, phase == .active || phase.isGreeting else { return discard("other-session") }
    if case .welcome(let welcome) = envelope.message, case .greeting(let since) = phase {
      epoch = envelope.epoch
      beatMilliseconds = welcome.beatMilliseconds
      leaseMilliseconds = welcome.leaseMilliseconds
      phase = .active
      attempts = 0
      moveFence(since)
      beatIsDue = true
      commands.append(.note(.welcomed(epoch: epoch)))
    }
    guard phase == .active, envelope.epoch == epoch else { return discard("other-epoch") }
    // Late or repeated: what it grants has been given up by the coordinator, or soon will be.
    guard envelope.seq > seen else { return discard("late-message") }
    seen = envelope.seq
    if let index = beatTimes.lastIndex(where: { $0.number <= envelope.heard }) {
      moveFence(beatTimes[index].time)
      beatTimes.removeSubrange(...index)
    }
    switch envelope.message {
    case .welcome, .rejected, .beat: break
    case .job(let offer): look(at: offer)
    case .forget(let forget): self.forget(forget.job)
    case .grant(let grant): for key in grant.leases { take(key, .compute) }
    case .check(let check): for key in check.leases { take(key, .check) }
    case .sum(let sum): for key in sum.leases { take(key, .sum) }
    case .acknowledge(let acknowledged):
      tasks.removeAll { $0.phase == .reported && acknowledged.leases.contains($0.key) }
    case .revoke(let revoked): for key in revoked.leases { revoke(key) }
    case .drain: drain("asked by the coordinator")
    }
  }

  private mutating func receive(_ rejected: CoordinatorMessage.Rejected, _ envelope: CoordinatorEnvelope) {
    switch rejected.reason {
    case .version:
      guard phase.isGreeting else { return discard("other-session") }
      phase = .ended
      commands.append(.disconnect)
      commands.append(.end(.rejected(rejected.message)))
    case .session:
      guard envelope.session == session, phase == .active else { return discard("other-session") }
      leave(rejected.message)
    case .key:
      guard envelope.session == session, phase == .active || phase.isGreeting else { return discard("other-session") }
      commands.append(.note(.refused(rejected.message)))
      leave(rejected.message)
    }
  }

  /// Leases live so long after the sending of a beat that the coordinator has heard.
  private mutating func moveFence(_ heardBeat: Instant) {
    let fence = heardBeat.adding(milliseconds: leaseMilliseconds)
    guard fence > self.fence else { return }
    self.fence = fence
    commands.append(.fence(fence))
  }

  private mutating func discard(_ reason: String) {
    discarded[reason, default: 0] += 1
  }

  // MARK: jobs

  private mutating func look(at offer: CoordinatorMessage.JobOffer) {
    switch jobs[offer.job] {
    case .some(.some(let prepared)) where !prepared.mayBeTakenBack: send(.prepared(prepared))
    case .some(.none): break
    default:
      guard !isDraining else { return }
      jobs[offer.job] = .some(.none)
      commands.append(.prepare(offer))
    }
  }

  private mutating func answer(_ prepared: WorkerMessage.Prepared) {
    guard case .some(.none) = jobs[prepared.job] else { return discard("unasked-answer") }
    jobs[prepared.job] = .some(prepared)
    send(.prepared(prepared))
  }

  private mutating func forget(_ job: JobID) {
    for task in tasks where task.key.job == job { abandon(task) }
    tasks.removeAll { $0.key.job == job }
    if jobs.removeValue(forKey: job) != nil { commands.append(.forget(job)) }
  }

  // MARK: tasks

  private mutating func take(_ key: Attempt, _ work: Work) {
    guard !isDraining, case .some(.some) = jobs[key.job], !tasks.contains(where: { $0.key == key }) else {
      // The next beat does not list it, and so the coordinator has it back.
      beatIsDue = true
      return
    }
    let task = Task(id: TaskID(number: nextTask), key: key)
    nextTask += 1
    tasks.append(task)
    commands.append(.stage(task.id, key, work))
  }

  private mutating func update(_ id: TaskID, _ change: (inout Task) -> Void) {
    guard let index = tasks.firstIndex(where: { $0.id == id }) else { return }
    change(&tasks[index])
  }

  private mutating func report(_ id: TaskID, _ message: (Attempt) -> WorkerMessage) {
    leaving.remove(id)
    guard let index = tasks.firstIndex(where: { $0.id == id }), tasks[index].phase != .reported else { return }
    tasks[index].phase = .reported
    tasks[index].report = message(tasks[index].key)
    say(index)
  }

  private mutating func say(_ index: Int) {
    guard phase == .active, let report = tasks[index].report else { return }
    tasks[index].reportedAt = now
    send(report)
  }

  private mutating func left(_ id: TaskID) {
    if leaving.remove(id) != nil { return }
    // A thread sees the fence before this does. The next beat does not list the lease, and so it is granted again.
    tasks.removeAll { $0.id == id && $0.phase == .computing }
    beatIsDue = true
  }

  private mutating func revoke(_ key: Attempt) {
    // The coordinator waits for a beat that does not list it.
    beatIsDue = true
    guard let index = tasks.firstIndex(where: { $0.key == key }) else { return }
    abandon(tasks[index])
    tasks.remove(at: index)
    commands.append(.note(.revoked(key)))
  }

  private mutating func abandon(_ task: Task) {
    if task.phase == .computing { leaving.insert(task.id) }
    if task.phase != .reported { commands.append(.abandon(task.id)) }
  }

  private mutating func drain(_ reason: String) {
    guard !isDraining else { return }
    isDraining = true
    let waiting = tasks.filter { $0.phase == .staging || $0.phase == .ready }
    for task in waiting { abandon(task) }
    tasks.removeAll { $0.phase == .staging || $0.phase == .ready }
    beatIsDue = true
    commands.append(.note(.draining(reason, running: tasks.count)))
  }

  /// What follows from any event: slots are filled, beats are sent, a drained worker ends.
  private mutating func advance() {
    var busy = leaving.count + tasks.count { $0.phase == .computing }
    for index in tasks.indices where tasks[index].phase == .ready && busy < configuration.hello.slots {
      tasks[index].phase = .computing
      commands.append(.compute(tasks[index].id))
      busy += 1
    }
    if phase == .active && beatIsDue { beat() }
    if isDraining && tasks.isEmpty && leaving.isEmpty && phase != .ended { finish() }
  }

  private mutating func beat() {
    beatIsDue = false
    beatNumber += 1
    lastBeat = now
    beatTimes.append((beatNumber, now))
    let held = tasks.map { task in
      WorkerMessage.Beat.Held(
        task.key, progress: task.progress, isRunning: task.phase == .computing || task.phase == .delivering)
    }
    let answered = jobs.filter { $0.value != nil }.keys.sorted()
    send(.beat(.init(number: beatNumber, seen: seen, isDraining: isDraining, jobs: answered, held: held)))
  }

  private mutating func finish() {
    if phase == .active {
      send(.goodbye(.init(reason: "drained")))
      commands.append(.disconnect)
    }
    phase = .ended
    commands.append(.end(.drained))
  }

  // MARK: for tests and for show

  /// Whether a job was offered, and is neither answered nor over.
  public func isLooking(at job: JobID) -> Bool {
    if case .some(.none) = jobs[job] { return true }
    return false
  }

  public var isActive: Bool { phase == .active }
  public var taskCount: Int { tasks.count }
  public var runningCount: Int { tasks.count { $0.phase == .computing } }

  /// What must be true after every event.
  ///
  /// - Returns: what is not.
  public func checkInvariants() -> [String] {
    var broken: [String] = []
    let running = leaving.count + tasks.count { $0.phase == .computing }
    if running > configuration.hello.slots { broken.append("\(running) tasks run in \(configuration.hello.slots) slots") }
    if Set(tasks.map(\.key)).count != tasks.count { broken.append("a lease is held twice") }
    if phase != .active && !tasks.isEmpty { broken.append("leases are held without a session") }
    for task in tasks where jobs[task.key.job] == nil { broken.append("\(task.key) is of an unknown job") }
    return broken
  }
}

extension WorkerSession.Phase {
  var isGreeting: Bool {
    if case .greeting = self { return true }
    return false
  }
}

extension WorkerMessage.Prepared {
  /// Whether it is a refusal for a reason that may pass: the job is offered, and looked at, again.
  var mayBeTakenBack: Bool { refusal?.code == Problem.Code.dataUnreachable.description }
}

extension Problem.Code {
  /// A worker's connection for data is not answered.
  public static let dataUnreachable = Self("data-unreachable")
}
