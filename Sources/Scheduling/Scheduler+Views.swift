public import Wire

/// What others may see of a scheduler.
extension Scheduler {
  public struct SessionView: Sendable {
    public let id: SessionID
    /// Whose key it has; nil where nobody has to show one.
    public let user: String?
    public let hello: WorkerMessage.Hello
    public let state: Status.WorkerState
    public let running: Int
    public let queued: Int
    public let shardsDone: Int
    public let failures: Int
    public let silence: Double
    public let prepared: [WorkerMessage.Prepared]
  }

  public struct JobView: Sendable {
    public let id: JobID
    public let shardCount: Int
    public let doneCount: Int
    public let leased: Int
    public let retries: Int
  }

  /// In the order of joining.
  public func workers(at now: Instant) -> [SessionView] {
    joined.compactMap { id in
      guard let session = sessions[id] else { return nil }
      let running = session.leases.count { leases[$0].map { $0.isRunning && $0.phase != .committing } == true }
      return SessionView(
        id: id, user: session.route.user, hello: session.hello,
        state: session.isDraining ? .draining : session.mayWork(at: now) ? .active : .setAside, running: running,
        queued: session.held - running, shardsDone: session.shardsDone, failures: session.failures,
        silence: max(0, now.seconds(since: session.lastHeard)),
        prepared: session.jobs.keys.sorted().compactMap { session.jobs[$0]?.prepared })
    }
  }

  public func job(_ id: JobID) -> JobView? {
    guard let job = jobs[id] else { return nil }
    return JobView(
      id: id, shardCount: job.shardCount, doneCount: job.doneCount, leased: job.live.count, retries: job.retryCount)
  }

  /// By shard; for tests.
  package func isDone(_ id: JobID) -> [Bool] { jobs[id]?.status.map { $0 == .done } ?? [] }

  /// Whether a lease lives, and whose it is.
  public func holder(of key: Attempt) -> SessionID? {
    guard let lease = leases[key], lease.phase == .granted else { return nil }
    return lease.session
  }

  /// How a worker writes a job's output; nil where it has not said.
  public func output(of session: SessionID, for job: JobID) -> Access? { sessions[session]?.jobs[job]?.prepared.output }

  /// What a worker calls itself.
  public func name(of session: SessionID) -> String? { sessions[session]?.hello.name }

  /// Whose key it has.
  public func user(of session: SessionID) -> String? { sessions[session]?.route.user }

  /// Whether it is a session, of that user.
  public func hasSession(_ id: SessionID, of user: String? = nil) -> Bool {
    guard let session = sessions[id] else { return false }
    return session.route.user == user && !session.isExpelled
  }

  /// Of all workers, with those whose results are being made safe.
  public var leaseCount: Int { leases.count }
}
