import ArgumentParser
import Coordinator
import Diagnostics
import Figures
import Glibc
import Transport
import Wire

/// Shows a job until it is over.
struct JobWatch {
  let client: Client
  let job: JobID
  let console: Console
  /// Run when the job is over, however it ends.
  var finish: FinishCommand?

  /// A coordinator may be away for so long, in seconds, while one waits for it.
  private static let patience = 120.0

  /// Has a job begun, or gone on with, and waits for it if asked to.
  static func start(
    _ request: ClientRequest, _ client: Client, waits: Bool, _ console: Console, finish: FinishCommand? = nil
  ) throws(Failure) {
    // Whether anybody is there is soon told; preparing a job can take minutes on a slow filesystem.
    let epoch = try client.status(of: nil).coordinator.epoch
    let reply = try client.ask(request, of: epoch, patience: Int(patience * 1000))
    if case .error(let report) = reply { throw report.failure }
    guard case .submitted(let submitted) = reply else {
      throw Failure(.unavailable, Problem(.init("answer-unexpected"), "the coordinator answered something else"))
    }
    console.emit(Submitted(job: submitted.job))
    guard waits else {
      return console.result("job \(submitted.job) is running: expomerge status \(submitted.job)")
    }
    console.result("job \(submitted.job)")
    // Whoever reads this from a pipe or a file need not wait for the end.
    fflush(nil)
    try JobWatch(client: client, job: submitted.job, console: console, finish: finish).untilOver()
  }

  private struct Submitted: Encodable {
    let type = "submitted"
    let job: JobID
  }

  /// - Throws: why the job failed; `interrupted` when it was cancelled, or the wait was ended.
  func untilOver() throws(Failure) {
    let display = ProgressDisplay(console: console)
    let cancellation = Cancellation()
    Signals.take(cancelling: cancellation)
    let start = ProgressDisplay.now()
    var lastSeen = start
    var isMissed = false
    while true {
      if cancellation.isCancelled {
        display.finish()
        throw Failure(
          .interrupted,
          Problem(
            .interrupted, "no longer waiting; job \(job) goes on", remedy: "end it with expomerge cancel \(job)"))
      }
      // Of the asking alone: why a job failed is no reason to ask again.
      var over: Status.Job?
      do throws(Failure) {
        let status = try client.status(of: job)
        lastSeen = ProgressDisplay.now()
        isMissed = false
        guard let current = status.jobs.first else { throw lost }
        if current.state.isOver { over = current } else { display.show(.init(current)) }
      } catch {
        if error.problems.contains(where: { $0.code == .jobLost }) || error.category == .inputNotFound {
          display.finish()
          throw lost
        }
        guard error.category == .unavailable, ProgressDisplay.now() - lastSeen < Self.patience else {
          display.finish()
          throw error
        }
        if !isMissed {
          display.finish()
          console.warn([
            Problem(
              .coordinatorAway, "the coordinator does not answer; it is waited for, \(Int(Self.patience)) s at most",
              remedy: "start it with the --state it had, and the job goes on")
          ])
        }
        isMissed = true
      }
      if let over {
        display.finish()
        return try end(over)
      }
      // The end of a short job is not seen late: a twentieth of its time.
      usleep(UInt32(min(max((ProgressDisplay.now() - start) / 20, 0.01), 0.2) * 1e6))
    }
  }

  private var lost: Failure {
    Failure(
      .unavailable,
      Problem(
        .jobLost, "the coordinator does not know job \(job) any more: was it started with another --state?",
        remedy: "start it with the --state it had, or submit the job again with --restart"))
  }

  private func end(_ job: Status.Job) throws(Failure) {
    var failure: Failure?
    do throws(Failure) { try conclude(job) } catch { failure = error }
    if let problem = finish?.run(job, exitCode: failure?.exitCode ?? 0) { console.warn([problem]) }
    if let failure { throw failure }
  }

  private func conclude(_ job: Status.Job) throws(Failure) {
    console.warn(job.warnings.map(\.problem))
    switch job.state {
    case .complete where job.kind == .verify:
      console.emit(Message(type: "verified", job: job))
      console.result(
        "verified \(job.output): \(Format.plural(job.shards, "shard")), \(Format.bytes(job.bytes)) read or computed again in \(decimal(job.seconds, job.seconds < 10 ? 2 : 0)) s (\(Format.rate(Double(job.bytes) / job.seconds)))"
      )
    case .complete:
      console.emit(Message(type: "merged", job: job))
      console.result(
        "Merged into \(job.output): \(Format.bytes(job.bytes)) in \(Format.plural(job.files.count, "file")), \(decimal(job.seconds, job.seconds < 10 ? 2 : 0)) s (\(Format.rate(Double(job.bytes) / job.seconds)))"
      )
    case .cancelled:
      throw Failure(.interrupted, Problem(.interrupted, "job \(job.job) was cancelled"))
    default:
      throw Failure(
        job.exitCode.flatMap { Failure.Category(rawValue: $0) } ?? .inputOutput,
        job.problems.isEmpty ? [Problem(.init("job-failed"), "job \(job.job) failed")] : job.problems.map(\.problem))
    }
  }

  private struct Message: Encodable {
    let type: String
    let job: Status.Job
  }
}

extension Problem.Code {
  static let jobLost = Self("job-lost")
  static let coordinatorAway = Self("coordinator-away")
}

extension Progress.Snapshot {
  init(_ job: Status.Job) {
    self.init(
      phase: Progress.Phase(rawValue: job.phase) ?? .preparing, done: job.bytesDone,
      total: job.state == .running ? job.bytes : 0, file: job.files.first { $0.done < $0.shards }?.name ?? "")
  }
}
