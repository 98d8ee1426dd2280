import Diagnostics
import Journal
import Logging
import Scheduling
import Threads
import Transport
import Wire

/// What is told of workers and their work, in the log and in the journal.
extension CoordinatorService {
  func log(_ note: Scheduler.Note) {
    switch note {
    case .workerJoined(let session, let name):
      workers[session] = WorkerRecord(joinedAt: Self.now)
      let key = scheduler.user(of: session).map { ", key \($0)" } ?? ""
      remember(.info, nil, "worker-joined", "worker \(name) joined, session \(session)\(key)", within: &comings)
    case .workerLost(let session, let name, let leases):
      workers[session] = nil
      let held = leases == 0 ? "with nothing in flight" : "with \(leases) in flight, which is granted again"
      remember(.warning, nil, "worker-lost", "worker \(name) was lost, \(held)", within: &comings)
    case .workerLeft(let session, let name, let reason):
      workers[session] = nil
      remember(.info, nil, "worker-left", "worker \(name) left: \(reason)", within: &comings)
    case .workerExpelled(let session, let name):
      dataServer.assumeIsolated { $0.forget(session) }
      remember(.warning, nil, "worker-expelled", "worker \(name) is sent away: its key is not authorized any more")
    case .workerSetAside(_, let name, let milliseconds):
      remember(.warning, nil, "worker-set-aside", "worker \(name) keeps failing and gets no work for \(milliseconds / 1000) s")
    case .workerPrepared(_, let name, let prepared):
      tell("worker-prepared", within: &preparations) { log(prepared, of: name) }
    case .shardFailed(let attempt, let name, let problem):
      history.shardFailed()
      remember(.error, attempt.job, "shard-failed", "\(attempt) failed on \(name): \(problem)")
    case .summing(let job):
      jobs[job]?.context.progress.begin(.checksums, total: jobs[job]?.bytes ?? 0)
      logger.info("job \(job): all shards are done; the output files are read for their SHA-256")
    case .speculated(let attempt, let name):
      remember(.info, attempt.job, "speculated", "\(attempt): given to \(name) as well, as it takes long")
    case .outputDiffers(let job, let shard, let name):
      let finder = name.map { ", as \($0) found" } ?? ""
      remember(
        .warning, job, "output-differs",
        "job \(job) shard \(shard): the output does not hold what the journal says\(finder); it is computed again")
    case .readBackDiffers(let job, let shard, let name):
      uncount(job, shard)
      remember(
        .error, job, "read-back-differs",
        "job \(job) shard \(shard): the file does not hold what \(name) reported; it is computed again")
    }
  }

  private func log(_ prepared: WorkerMessage.Prepared, of name: String) {
    let inputs = prepared.aligned + prepared.sft
    if let refusal = prepared.refusal {
      remember(.error, prepared.job, "worker-refused", "worker \(name) cannot work on job \(prepared.job): \(refusal.problem)")
    } else {
      logger.info(
        "worker \(name) is ready for job \(prepared.job): \(inputs.count { $0 == .direct }) of \(inputs.count) input files direct, output \(prepared.output.rawValue)")
    }
    for note in prepared.notes { logger.warning("worker \(name), job \(prepared.job): \(note.problem)") }
  }

  /// What peers can make happen as often as they like: beyond so many a minute it would fill the log and the journal.
  private func tell(_ kind: String, within limit: inout EventLimit, _ body: () -> Void) {
    let verdict = limit.judge(at: bootNanoseconds())
    guard verdict != .untold else { return }
    body()
    if verdict == .lastTold { logger.warning("so much of that happens (\(kind)) that no more of it is told for a minute") }
  }

  /// One line of that.
  func remember(
    _ level: Logger.Level, _ job: JobID?, _ kind: String, _ text: String, within limit: inout EventLimit
  ) {
    tell(kind, within: &limit) { remember(level, job, kind, text) }
  }

  /// For the log, and for the journal of a coordinator, which people read with other tools.
  func remember(_ level: Logger.Level, _ job: JobID?, _ kind: String, _ text: String) {
    logger.log(level: level, "\(text)")
    history.add(level.rawValue, job, printable(text))
    configuration.journal?.addEvent(job: job?.number, kind: kind, text: printable(text))
  }
}
