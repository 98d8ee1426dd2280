import Diagnostics
import Digests
import Planning
import Scheduling
import Wire

/// A coordinator and workers, their real state machines, in a world made of a seed.
public struct SimulatedCluster {
  public struct Outcome: Sendable {
    public var problems: [String] = []
    public var history: [String] = []
    public var grants = 0
    public var virtualSeconds = 0.0
    public var discarded = 0
  }

  enum Happening {
    case tickCoordinator
    case tickWorker(Int, life: Int)
    case toCoordinator(WorkerEnvelope, from: Int)
    case toWorker(CoordinatorEnvelope, Int)
    case submit(Int)
    case fault(Scenario.Fault)
    case join(Int)
    case thaw(Int)
    case mend(Int, toCoordinator: Bool, toWorker: Bool)
    case coordinatorReturns
    case prepared(Int, life: Int, JobID)
    case staged(Int, life: Int, WorkerSession.TaskID)
    case step(Int, life: Int, WorkerSession.TaskID, Int)
    case delivered(Int, life: Int, WorkerSession.TaskID)
    case committed(Attempt, epoch: Int, Digest128)
    case verified(JobID, shard: Int, epoch: Int, matches: Bool)
    case summed(JobID, file: Int, epoch: Int)
  }

  struct SimulatedWorker {
    let traits: Scenario.Worker
    var session: WorkerSession?
    /// Counts its starts, so that what belongs to an earlier one is known.
    var life = 0
    var isFrozen = false
    /// What has come in while it was frozen.
    var missed: [Happening] = []
    var isCutToCoordinator = false
    var isCutToWorker = false
    var fence = Instant.distantPast
    var tasks: [WorkerSession.TaskID: (key: Attempt, work: WorkerSession.Work)] = [:]
    var connection = SessionID(0)
    var hasNoSpace = false
    var failsInput = false
  }

  private let scenario: Scenario
  private let seed: UInt64
  private var random: SplitMix64
  private var time = VirtualTime<Happening>()
  private var workers: [SimulatedWorker]
  private var scheduler: Scheduler?
  private var epoch = 0
  /// What survives the coordinator.
  private var journal: [JobID: [Int: Digest128]] = [:]
  /// Shards that are journalled, but whose bytes went with the power.
  private var torn: [JobID: Set<Int>] = [:]
  /// How often a shard was found to differ from the journal.
  private var redone: [JobID: [Int: Int]] = [:]
  /// Files that were summed, and in which life.
  private var sums: [JobID: [Int: Int]] = [:]
  private var submitted: [JobID: Int] = [:]
  private var over: Set<JobID> = []
  private var commits: [JobID: [Int: Int]] = [:]
  private var outcome = Outcome()
  private let keepsHistory: Bool
  private let history = History()
  /// Attempts that faults have cost: an upper bound of the extra work.
  private var excusedAttempts = 0

  /// - Parameter keepsHistory: everything that happens is written down; slower.
  public init(seed: UInt64, keepsHistory: Bool = false) {
    self.seed = seed
    scenario = Scenario(seed: seed)
    random = SplitMix64(seed: seed &* 0x9E37_79B9_7F4A_7C15 &+ 1)
    workers = scenario.workers.map { SimulatedWorker(traits: $0) }
    self.keepsHistory = keepsHistory
  }

  /// Long enough for the slowest worker alone.
  private var deadline: Double { scenario.jobs.reduce(900) { $0 + 25 * Double($1.shards) } }

  public mutating func run() -> Outcome {
    startCoordinator()
    time.schedule(.tickCoordinator, inMilliseconds: 0)
    for (index, job) in scenario.jobs.enumerated() { time.schedule(.submit(index), inMilliseconds: job.submittedAt) }
    for (index, worker) in scenario.workers.enumerated() { time.schedule(.join(index), inMilliseconds: worker.joinsAt) }
    for (at, fault) in scenario.faults { time.schedule(.fault(fault), inMilliseconds: at) }
    while outcome.problems.isEmpty, over.count < scenario.jobs.count, let happening = time.next() {
      handle(happening)
      if seconds > deadline {
        fail("the jobs are not complete after \(Int(deadline)) s")
      }
    }
    if outcome.problems.isEmpty { checkEnd() }
    outcome.virtualSeconds = seconds
    outcome.history = history.lines
    if let scheduler { outcome.discarded += scheduler.discarded.values.reduce(0, +) }
    return outcome
  }

  private var seconds: Double { Double(time.now) / 1e9 - 1 }

  /// What happened, in words.
  private final class History {
    var lines: [String] = []
  }

  private func log(_ text: @autoclosure () -> String) {
    if keepsHistory { history.lines.append("\(Int(seconds * 1000)) ms: \(text())") }
  }

  private mutating func fail(_ problem: String) {
    log("PROBLEM \(problem)")
    outcome.problems.append(problem)
  }

  private mutating func checkEnd() {
    for (index, job) in scenario.jobs.enumerated() {
      let id = JobID(index + 1)
      let done = journal[id] ?? [:]
      if done.count != job.shards { fail("job \(id) has \(done.count) of \(job.shards) shards") }
      for (shard, digest) in done where digest != Self.digest(id, shard) { fail("job \(id) shard \(shard) is wrong") }
      // What was found to be lost may be found again before it is redone.
      for (shard, count) in commits[id] ?? [:] where !(1...1 + redone[id, default: [:]][shard, default: 0]).contains(count) {
        fail("job \(id) shard \(shard) was committed \(count) times")
      }
      for shard in torn[id] ?? [] { fail("job \(id) was published with what is left of shard \(shard)") }
    }
    let shards = scenario.jobs.reduce(0) { $0 + $1.shards }
    if outcome.grants > shards + excusedAttempts {
      fail("\(outcome.grants) attempts at \(shards) shards, where \(excusedAttempts) more are explained")
    }
  }

  private static func sum(_ job: JobID, _ file: Int) -> String {
    let digits = String(job.number * 100 + file)
    return String(repeating: "0", count: 64 - digits.utf8.count) + digits
  }

  /// What a shard truly comes to.
  private static func digest(_ job: JobID, _ shard: Int) -> Digest128 {
    Digest128(high: UInt64(job.number), low: UInt64(shard) &* 0x9E37_79B9_7F4A_7C15)
  }

  // MARK: happenings

  private mutating func handle(_ happening: Happening) {
    switch happening {
    case .tickCoordinator:
      tell(.tick)
      time.schedule(.tickCoordinator, inMilliseconds: 250)
    case .submit(let index):
      submitted[JobID(index + 1)] = index
      if scheduler != nil { add(JobID(index + 1), isResumed: false) }
    case .toCoordinator(let envelope, let worker):
      guard scheduler != nil else { return }
      log("coordinator < \(worker): \(Self.brief(envelope.message))")
      tell(.received(envelope, from: Route([UInt8(worker)])))
    case .committed(let key, let epoch, let digest):
      guard epoch == self.epoch, scheduler != nil else { return }
      journal[key.job, default: [:]][key.shard] = digest
      torn[key.job]?.remove(key.shard)
      commits[key.job, default: [:]][key.shard, default: 0] += 1
      tell(.committed(key))
    case .verified(let job, let shard, let epoch, let matches):
      if epoch == self.epoch { tell(.verified(job, shard: shard, matches: matches)) }
    case .summed(let job, let file, let epoch):
      if epoch == self.epoch { tell(.summed(job, file: file, sha256: Self.sum(job, file))) }
    case .coordinatorReturns:
      startCoordinator()
    case .join(let index):
      if workers[index].session == nil { start(index) }
    case .fault(let fault): apply(fault)
    case .thaw(let index):
      guard workers[index].isFrozen else { return }
      log("worker \(index) thaws")
      workers[index].isFrozen = false
      let missed = workers[index].missed
      workers[index].missed = []
      for happening in missed { handle(happening) }
    case .mend(let index, let toCoordinator, let toWorker):
      if toCoordinator { workers[index].isCutToCoordinator = false }
      if toWorker { workers[index].isCutToWorker = false }
      log("the network of worker \(index) is mended")
    case .tickWorker(let index, let life):
      guard workers[index].life == life, workers[index].session != nil else { return }
      guard !workers[index].isFrozen else { return workers[index].missed.append(happening) }
      time.schedule(.tickWorker(index, life: life), inMilliseconds: 250)
      tell(index, .tick)
    case .toWorker(let envelope, let index):
      guard workers[index].session != nil else { return }
      guard !workers[index].isFrozen else { return workers[index].missed.append(happening) }
      log("\(index) < coordinator: \(Self.brief(envelope.message))")
      tell(index, .received(envelope))
    case .prepared(let index, let life, let job):
      guard isAwake(index, life, happening) else { return }
      let traits = workers[index].traits
      let inputs: [Access] = [traits.streamsInputs ? .streamed : .direct]
      tell(
        index,
        .prepared(
          .init(job: job, aligned: inputs, sft: inputs, output: traits.streamsOutput ? .streamed : .direct)))
    case .staged(let index, let life, let task):
      guard isAwake(index, life, happening) else { return }
      tell(index, .staged(task))
    case .step(let index, let life, let task, let number):
      guard isAwake(index, life, happening) else { return }
      step(index, task, number)
    case .delivered(let index, let life, let task):
      guard isAwake(index, life, happening), let (key, work) = workers[index].tasks.removeValue(forKey: task) else { return }
      let isLie = random.next() % 1000 < UInt64(workers[index].traits.lies)
      let isTorn = work == .check && torn[key.job]?.contains(key.shard) == true
      let digest = isLie || isTorn ? Digest128(high: 1, low: random.next()) : Self.digest(key.job, key.shard)
      let sha256 = work == .sum ? Self.sum(key.job, key.shard - scenario.jobs[key.job.number - 1].shards) : nil
      tell(index, .finished(task, digests: [digest], milliseconds: 1, segments: [], sha256: sha256))
    }
  }

  /// Whether a worker is there for something of its own; a frozen one gets it later.
  private mutating func isAwake(_ index: Int, _ life: Int, _ happening: Happening) -> Bool {
    guard workers[index].life == life, workers[index].session != nil else { return false }
    guard workers[index].isFrozen else { return true }
    workers[index].missed.append(happening)
    return false
  }

  private static let steps = 4

  /// One block of a shard is computed and written, unless the lease is over.
  private mutating func step(_ index: Int, _ task: WorkerSession.TaskID, _ number: Int) {
    guard let (key, work) = workers[index].tasks[task] else { return tell(index, .left(task)) }
    guard time.instant < workers[index].fence else {
      log("worker \(index) stops at its fence")
      excusedAttempts += 1
      workers[index].tasks[task] = nil
      return tell(index, .left(task))
    }
    if work == .compute, !workers[index].traits.streamsOutput, over.contains(key.job) {
      return fail("worker \(index) writes to job \(key.job) after it was published")
    }
    if number == 2 && work == .compute && workers[index].hasNoSpace {
      workers[index].hasNoSpace = false
      workers[index].tasks[task] = nil
      return tell(index, .failed(task, .space, input: nil, Problem(.init("no-space"), "no space")))
    }
    if number == 2 && workers[index].failsInput {
      workers[index].failsInput = false
      workers[index].tasks[task] = nil
      return tell(index, .failed(task, .other, input: nil, Problem(.init("read-failed"), "cannot be read")))
    }
    if number == Self.steps {
      tell(index, .computed(task))
      let delivery = workers[index].traits.streamsOutput ? 20.0 : 0
      time.schedule(.delivered(index, life: workers[index].life, task), inMilliseconds: delivery)
    } else {
      tell(index, .progress(task, bytes: number))
      let duration = workers[index].traits.shardTime / Double(Self.steps)
      time.schedule(.step(index, life: workers[index].life, task, number + 1), inMilliseconds: duration)
    }
  }

  private mutating func apply(_ fault: Scenario.Fault) {
    log("FAULT \(fault)")
    switch fault {
    case .kill(let index):
      guard workers[index].session != nil else { return }
      workers[index].session = nil
      workers[index].tasks = [:]
      workers[index].missed = []
      workers[index].isFrozen = false
      // Somebody starts it again.
      time.schedule(.join(index), inMilliseconds: 2000)
    case .freeze(let index, let milliseconds):
      guard workers[index].session != nil else { return }
      workers[index].isFrozen = true
      time.schedule(.thaw(index), inMilliseconds: milliseconds)
    case .cut(let index, let toCoordinator, let toWorker, let milliseconds):
      if toCoordinator { workers[index].isCutToCoordinator = true }
      if toWorker { workers[index].isCutToWorker = true }
      time.schedule(.mend(index, toCoordinator: toCoordinator, toWorker: toWorker), inMilliseconds: milliseconds)
    case .outOfSpace(let index): workers[index].hasNoSpace = true
    case .failInput(let index): workers[index].failsInput = true
    case .drain(let index):
      guard let session = workers[index].session, !workers[index].isFrozen else { return }
      // What has not begun is given back.
      excusedAttempts += session.taskCount
      tell(index, .drain(reason: "the scenario"))
    case .killCoordinator(let milliseconds, let losesPower):
      guard let dying = scheduler else { return }
      excusedAttempts += dying.leaseCount
      for job in journal.keys.sorted() where losesPower && !over.contains(job) {
        for shard in journal[job, default: [:]].keys.sorted() where random.next() % 8 == 0 {
          torn[job, default: []].insert(shard)
          excusedAttempts += 1
        }
      }
      outcome.discarded += dying.discarded.values.reduce(0, +)
      scheduler = nil
      time.schedule(.coordinatorReturns, inMilliseconds: milliseconds)
    }
  }

  // MARK: the coordinator

  private mutating func startCoordinator() {
    guard scheduler == nil else { return }
    epoch += 1
    log("coordinator starts, epoch \(epoch)")
    var configuration = Scheduler.Configuration()
    // Faults fall where they may; whether a shard is poison is tested elsewhere.
    configuration.failureLimit = 1000
    scheduler = Scheduler(configuration: configuration, epoch: epoch, at: time.instant)
    for job in submitted.keys.sorted() where !over.contains(job) { add(job, isResumed: true) }
  }

  private mutating func add(_ id: JobID, isResumed: Bool) {
    let job = scenario.jobs[id.number - 1]
    let shards = job.shards
    let files = min(job.files, shards)
    let stretches = (0..<files).map { file in
      Scheduler.JobSpecification.Stretch(
        shards: file * shards / files..<(file + 1) * shards / files,
        inputs: [.init(side: .aligned, file: 0), .init(side: .sft, file: 0)])
    }
    let zero = Digest128(high: 0, low: 0)
    let input = CoordinatorMessage.JobOffer.Input(
      folder: "/in", files: [.init(name: "f", bytes: 1, header: zero, pages: zero)])
    let offer = CoordinatorMessage.JobOffer(
      job: id, plan: zero, descriptionBytes: 1, aligned: input, sft: input,
      output: .init(folder: "/out", nonceFile: "n", nonce: "x"))
    let known = journal[id] ?? [:]
    tell(
      .add(.init(offer: offer, priority: job.priority, stretches: stretches, unchecked: known, isResumed: isResumed,
          sums: job.sums)))
  }

  private mutating func tell(_ event: Scheduler.Event) {
    let instant = time.instant
    guard let commands = scheduler?.handle(event, at: instant) else { return }
    if let broken = scheduler?.checkInvariants(), !broken.isEmpty {
      return fail("the scheduler's invariants: \(broken.joined(separator: "; "))")
    }
    for command in commands {
      switch command {
      case .send(let envelope, let route):
        if case .grant(let leases) = envelope.message { outcome.grants += leases.leases.count }
        send(envelope, to: Int(route.bytes[0]))
      case .commit(let finished, _), .check(let finished, _):
        commit(finished)
      case .verify(let job, let shard, _):
        let matches = torn[job]?.contains(shard) != true
        time.schedule(.verified(job, shard: shard, epoch: epoch, matches: matches), inMilliseconds: 10)
      case .sum(let job, let file):
        time.schedule(.summed(job, file: file, epoch: epoch), inMilliseconds: 200)
      case .summed(let job, let file, let sha256):
        if sha256 != Self.sum(job, file) { fail("job \(job) file \(file) has a wrong sum") }
        sums[job, default: [:]][file] = epoch
      case .checked(let job, let shard, let matches):
        if !matches { redone[job, default: [:]][shard, default: 0] += 1 }
      case .jobDone(let job):
        log("job \(job) is done")
        let wanted = scenario.jobs[job.number - 1].sums
        for file in 0..<wanted where sums[job]?[file] != epoch { fail("job \(job) is done without the sum of file \(file)") }
        over.insert(job)
      case .jobFailing(let job, let problem): fail("job \(job) failed: \(problem)")
      case .jobStopped(let job): fail("job \(job) stopped")
      case .leasesEnded: break
      case .note(let note):
        log("note: \(note)")
        switch note {
        case .workerLost(_, _, let leases): excusedAttempts += leases
        case .shardFailed, .speculated, .outputDiffers: excusedAttempts += 1
        // What it held is granted again.
        case .workerLeft: excusedAttempts += 16
        default: break
        }
      }
    }
  }

  private mutating func commit(_ finished: WorkerMessage.Finished) {
    let key = finished.key
    if finished.digest != Self.digest(key.job, key.shard) {
      // The bytes were streamed, so the coordinator has its own digest.
      return tell(.refused(key, Problem(.init("shard-differs"), "not the bytes that were received")))
    }
    time.schedule(.committed(key, epoch: epoch, finished.digest), inMilliseconds: scenario.commitTime)
  }

  // MARK: workers

  private mutating func start(_ index: Int) {
    workers[index].life += 1
    log("worker \(index) starts")
    let traits = workers[index].traits
    let hello = WorkerMessage.Hello(
      name: "w\(index)", host: "h\(index)", process: 1, slots: traits.slots, version: "0", level: "portable")
    let seed = random.next()
    workers[index].session = WorkerSession(.init(hello: hello), seed: seed, at: time.instant)
    workers[index].fence = .distantPast
    time.schedule(.tickWorker(index, life: workers[index].life), inMilliseconds: 0)
  }

  private mutating func tell(_ index: Int, _ event: WorkerSession.Event) {
    let instant = time.instant
    guard let commands = workers[index].session?.handle(event, at: instant) else { return }
    if let broken = workers[index].session?.checkInvariants(), !broken.isEmpty {
      return fail("worker \(index)'s invariants: \(broken.joined(separator: "; "))")
    }
    for command in commands {
      let life = workers[index].life
      switch command {
      case .connect(let session): workers[index].connection = session
      case .disconnect: break
      case .send(let envelope): send(envelope, from: index)
      case .prepare(let offer): time.schedule(.prepared(index, life: life, offer.job), inMilliseconds: 30)
      case .forget: break
      case .stage(let task, let key, let work):
        workers[index].tasks[task] = (key, work)
        time.schedule(
          .staged(index, life: life, task), inMilliseconds: workers[index].traits.streamsInputs ? 50 : 0)
      case .compute(let task):
        let duration = workers[index].traits.shardTime / Double(Self.steps)
        time.schedule(.step(index, life: life, task, 1), inMilliseconds: duration)
      case .abandon(let task): workers[index].tasks[task] = nil
      case .fence(let fence): workers[index].fence = fence
      case .note(let note): log("worker \(index): \(note)")
      case .end:
        log("worker \(index) ends")
        workers[index].session = nil
        time.schedule(.join(index), inMilliseconds: 3000)
      }
    }
  }

  // MARK: the network

  private mutating func send(_ envelope: CoordinatorEnvelope, to index: Int) {
    log("coordinator > \(index): \(Self.brief(envelope.message))")
    var envelope = envelope
    if scenario.passesThroughCodec {
      guard let copy = try? envelope.encoded().withUnsafeBytes({ try CoordinatorEnvelope.decode($0) }) else {
        return fail("\(envelope) cannot be read")
      }
      envelope = copy
    }
    let isCut = workers[index].isCutToWorker
    // A lost or late grant costs the worker nothing, but the shard another attempt.
    if case .grant(let leases) = envelope.message, isCut || scenario.lost > 0 || scenario.spread > 0 {
      excusedAttempts += leases.leases.count
    }
    for delay in delays() where !isCut { time.schedule(.toWorker(envelope, index), inMilliseconds: delay) }
  }

  private mutating func send(_ envelope: WorkerEnvelope, from index: Int) {
    var envelope = envelope
    if scenario.passesThroughCodec {
      guard case .worker(let copy)? = try? envelope.encoded().withUnsafeBytes({ try Inbound.decode($0) }) else {
        return fail("\(envelope) cannot be read")
      }
      envelope = copy
    }
    guard !workers[index].isCutToCoordinator else { return }
    for delay in delays() { time.schedule(.toCoordinator(envelope, from: index), inMilliseconds: delay) }
  }

  /// When the copies of a message arrive.
  private mutating func delays() -> [Double] {
    var delays: [Double] = []
    if random.next() % 1000 >= UInt64(scenario.lost) { delays.append(delay()) }
    if random.next() % 1000 < UInt64(scenario.doubled) { delays.append(delay()) }
    return delays
  }

  private mutating func delay() -> Double {
    scenario.delay + (scenario.spread > 0 ? Double.random(in: 0...scenario.spread, using: &random) : 0)
  }

  private static func brief(_ message: some Any) -> String {
    let text = "\(message)"
    return String(text.prefix(200))
  }
}
