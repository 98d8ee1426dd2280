import Diagnostics
import Digests
import Scheduling
import Testing
import Wire

/// A scheduler with a clock, and workers that believe what they are told and do nothing of their own accord.
struct SchedulerDriver {
  struct Peer {
    let session: SessionID
    let name: String
    let slots: Int
    /// Whose key it shows.
    var user: String?
    var prepared: (JobID) -> WorkerMessage.Prepared
    /// Messages to it are lost.
    var isDeaf = false
    /// `pass` lets it beat.
    var beats = true
    var number = 0
    var seen = 0
    var isDraining = false
    var jobs: [JobID] = []
    var held: [Attempt] = []
    var received: [CoordinatorMessage] = []
  }

  static let epoch = 7

  var scheduler: Scheduler
  private(set) var now = Instant(nanoseconds: 1_000_000_000)
  var peers: [String: Peer] = [:]
  private var sessions = 0
  private var untilBeat = 4
  /// Everything that was ever commanded.
  private(set) var log: [Scheduler.Command] = []

  init(_ change: (inout Scheduler.Configuration) -> Void = { _ in }) {
    var configuration = Scheduler.Configuration()
    change(&configuration)
    scheduler = Scheduler(configuration: configuration, epoch: Self.epoch, at: now)
  }

  // MARK: events

  @discardableResult
  mutating func handle(_ event: Scheduler.Event, sourceLocation: SourceLocation = #_sourceLocation)
    -> [Scheduler.Command]
  {
    let commands = scheduler.handle(event, at: now)
    #expect(scheduler.checkInvariants() == [], sourceLocation: sourceLocation)
    log += commands
    var answers: [(String, WorkerMessage)] = []
    for case .send(let envelope, let route) in commands {
      let name = String(decoding: route.bytes, as: UTF8.self)
      if let answer = deliver(envelope, to: name) { answers.append((name, answer)) }
    }
    return answers.reduce(commands) { $0 + say($1.1, as: $1.0) }
  }

  /// What a worker answers at once, if anything.
  private mutating func deliver(_ envelope: CoordinatorEnvelope, to name: String) -> WorkerMessage? {
    guard var peer = peers[name], !peer.isDeaf, envelope.session == peer.session else { return nil }
    defer { peers[name] = peer }
    peer.seen = max(peer.seen, envelope.seq)
    peer.received.append(envelope.message)
    switch envelope.message {
    case .job(let offer):
      peer.jobs.append(offer.job)
      return .prepared(peer.prepared(offer.job))
    case .forget(let forget):
      peer.jobs.removeAll { $0 == forget.job }
      peer.held.removeAll { $0.job == forget.job }
    case .grant(let grant), .check(let grant), .sum(let grant): peer.held += grant.leases
    case .acknowledge(let over), .revoke(let over): peer.held.removeAll(where: over.leases.contains)
    case .welcome, .rejected, .drain, .beat: break
    }
    return nil
  }

  @discardableResult
  mutating func say(_ message: WorkerMessage, as name: String, epoch: Int = Self.epoch) -> [Scheduler.Command] {
    let envelope = WorkerEnvelope(session: peers[name]!.session, epoch: epoch, message: message)
    return handle(.received(envelope, from: Route(Array(name.utf8), user: peers[name]!.user)))
  }

  // MARK: workers

  /// A worker that reaches two input files a side and the output as `prepared` says: directly, unless told otherwise.
  mutating func join(
    _ name: String, slots: Int = 1, user: String? = nil, isDeaf: Bool = false,
    prepared: @escaping (JobID) -> WorkerMessage.Prepared = { Self.access(to: $0) }
  ) {
    sessions += 1
    peers[name] = Peer(
      session: SessionID(UInt64(sessions)), name: name, slots: slots, user: user, prepared: prepared, isDeaf: isDeaf)
    say(
      .hello(.init(name: name, host: "node", process: 1, slots: slots, version: "0", level: "portable")), as: name,
      epoch: 0)
  }

  static func access(
    to job: JobID, aligned: [Access] = [.direct, .direct], sft: [Access] = [.direct, .direct],
    output: Access = .direct, refusal: ProblemReport? = nil
  ) -> WorkerMessage.Prepared {
    .init(job: job, aligned: aligned, sft: sft, output: output, refusal: refusal)
  }

  /// - Parameter held: what it says it holds; as many as it has slots are said to run.
  @discardableResult
  mutating func beat(_ name: String, held: [Attempt]? = nil, seen: Int? = nil, progress: Int = 0)
    -> [Scheduler.Command]
  {
    peers[name]!.number += 1
    let peer = peers[name]!
    let list = (held ?? peer.held).enumerated().map { index, key in
      WorkerMessage.Beat.Held(key, progress: progress, isRunning: index < peer.slots)
    }
    return say(
      .beat(
        .init(
          number: peer.number, seen: seen ?? peer.seen, isDraining: peer.isDraining, jobs: peer.jobs, held: list)),
      as: name)
  }

  @discardableResult
  mutating func finish(_ name: String, _ key: Attempt, digest: Digest128? = nil) -> [Scheduler.Command] {
    say(
      .finished(.init(key, digests: [digest ?? Self.digest(key.shard)], milliseconds: 1, segments: [])), as: name)
  }

  /// Reports a shard and makes the result safe.
  @discardableResult
  mutating func complete(_ name: String, _ key: Attempt) -> [Scheduler.Command] {
    finish(name, key) + handle(.committed(key))
  }

  @discardableResult
  mutating func fail(
    _ name: String, _ key: Attempt, _ cause: WorkerMessage.Failed.Cause = .other,
    input: WorkerMessage.Failed.Input? = nil
  ) -> [Scheduler.Command] {
    let problem = Problem(.init("test"), "broken by \(name)")
    return say(.failed(.init(key, cause: cause, input: input, problem: .init(problem))), as: name)
  }

  static func digest(_ shard: Int) -> Digest128 { Digest128(high: 1, low: UInt64(bitPattern: Int64(shard))) }

  /// What a worker holds.
  func held(_ name: String) -> [Attempt] { peers[name]!.held }
  func shards(_ name: String) -> [Int] { held(name).map(\.shard) }
  func messages(_ name: String) -> [CoordinatorMessage] { peers[name]!.received }

  // MARK: time

  /// Time passes, and nobody notices.
  mutating func skip(milliseconds: Int) {
    now = now.adding(milliseconds: milliseconds)
  }

  /// Time passes, with ticks four times a second and a beat a second of every worker that beats.
  mutating func pass(milliseconds: Int) {
    let end = now.adding(milliseconds: milliseconds)
    while now < end {
      now = min(end, now.adding(milliseconds: 250))
      untilBeat -= 1
      if untilBeat == 0 {
        untilBeat = 4
        for name in peers.keys.sorted() where peers[name]!.beats { beat(name) }
      }
      handle(.tick)
    }
  }

  /// All workers report what they hold, in turn, until nobody holds anything.
  mutating func work() {
    while let name = peers.keys.sorted().first(where: { !held($0).isEmpty }) {
      for key in held(name) { complete(name, key) }
    }
  }

  // MARK: jobs

  static func job(
    _ number: Int = 1, files: [Int] = [10], priority: Int = 0, done: [Int: Digest128] = [:], unchecked: [Int: Digest128] = [:],
    isResumed: Bool = false, sums: Int = 0, proved: Set<Int>? = nil
  ) -> Scheduler.JobSpecification {
    let zero = Digest128(high: 0, low: 0)
    let input = CoordinatorMessage.JobOffer.Input(
      folder: "/in", files: (0..<2).map { .init(name: "f\($0)", bytes: 1, header: zero, pages: zero) })
    let offer = CoordinatorMessage.JobOffer(
      job: JobID(number), plan: zero, descriptionBytes: 1, aligned: input, sft: input,
      output: .init(folder: "/out", nonceFile: "nonce", nonce: "x"))
    var start = 0
    let stretches = files.enumerated().map { file, count in
      defer { start += count }
      // Files of even number are made from the first input file of each side, the others from the second.
      return Scheduler.JobSpecification.Stretch(
        shards: start..<start + count,
        inputs: [.init(side: .aligned, file: file % 2), .init(side: .sft, file: file % 2)])
    }
    return .init(offer: offer, priority: priority, stretches: stretches, done: done, unchecked: unchecked, isResumed: isResumed,
      sums: sums, proved: proved)
  }

  /// - Parameter files: shards of each output file.
  mutating func add(
    _ number: Int = 1, files: [Int] = [10], priority: Int = 0, done: [Int: Digest128] = [:], unchecked: [Int: Digest128] = [:],
    isResumed: Bool = false
  ) {
    handle(
      .add(
        Self.job(number, files: files, priority: priority, done: done, unchecked: unchecked, isResumed: isResumed)))
  }

  // MARK: what came of it

  var doneJobs: [JobID] {
    log.compactMap { if case .jobDone(let job) = $0 { job } else { nil } }
  }

  var stoppedJobs: [JobID] {
    log.compactMap { if case .jobStopped(let job) = $0 { job } else { nil } }
  }

  var problems: [Problem] {
    log.compactMap { if case .jobFailing(_, let problem) = $0 { problem } else { nil } }
  }

  var notes: [Scheduler.Note] {
    log.compactMap { if case .note(let note) = $0 { note } else { nil } }
  }

  /// Shards that were read back, and whether they were as journalled.
  var checked: [Int: Bool] {
    log.reduce(into: [:]) { if case .checked(_, let shard, let matches) = $1 { $0[shard] = matches } }
  }

  /// By output file.
  var sums: [Int: String] {
    log.reduce(into: [:]) { if case .summed(_, let file, let sha256) = $1 { $0[file] = sha256 } }
  }

  var verifications: [Int] {
    log.compactMap { if case .verify(_, let shard, _) = $0 { shard } else { nil } }
  }
}

extension [CoordinatorMessage] {
  private func leases(_ leases: (CoordinatorMessage) -> CoordinatorMessage.Leases?) -> [Attempt] {
    compactMap(leases).flatMap(\.leases)
  }

  var granted: [Attempt] { leases { if case .grant(let leases) = $0 { leases } else { nil } } }
  var sums: [Attempt] { leases { if case .sum(let leases) = $0 { leases } else { nil } } }
  var checks: [Attempt] { leases { if case .check(let leases) = $0 { leases } else { nil } } }
  var acknowledged: [Attempt] { leases { if case .acknowledge(let leases) = $0 { leases } else { nil } } }
  var revoked: [Attempt] { leases { if case .revoke(let leases) = $0 { leases } else { nil } } }
}

extension Attempt {
  /// Of job 1.
  init(shard: Int, attempt: Int = 1) {
    self.init(job: JobID(1), shard: shard, attempt: attempt)
  }
}
