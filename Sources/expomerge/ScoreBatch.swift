import Coordinator
import Diagnostics
import FileIO
import Figures
import Processes
import Search
import Synchronization
import SystemPackage
import Threads

/// Runs the score command on some checkpoints, several at a time.
struct ScoreBatch: Sendable {
  let runner: CommandRunner
  let command: ScoreCommand
  let folder: SearchFolder
  /// Commands at a time.
  let jobs: Int
  let timeLimit: TimeSpan?
  let cancellation: Cancellation

  private struct State {
    var next = 0
    var failure: Failure?

    mutating func take(_ count: Int, _ cancellation: Cancellation) -> Int? {
      guard failure == nil, !cancellation.isCancelled, next < count else { return nil }
      defer { next += 1 }
      return next
    }
  }

  /// - Parameter report: called with each outcome once it is recorded, and the last lines of what its command wrote to standard
  ///   error; by one thread at a time.
  /// - Throws: `interrupted` after a cancellation.
  func run(_ alphas: [Double], report: @escaping @Sendable (Outcome, [String]) -> Void) throws(Failure) {
    let state = Mutex(State())
    let reporting = Mutex(())
    ThreadTeam.run(count: min(jobs, alphas.count)) { job in
      while let index = state.withLock({ $0.take(alphas.count, cancellation) }) {
        do throws(Failure) {
          guard let outcome = try score(alphas[index], job: job) else { return }
          let errors = try tail(of: folder.log(alphas[index], "err"))
          SearchCrashPoint.scored.pass()
          try folder.record(outcome)
          SearchCrashPoint.recorded.pass()
          reporting.withLock { _ in report(outcome, ScoreText.tail(of: errors)) }
        } catch {
          state.withLock { if $0.failure == nil { $0.failure = error } }
        }
      }
    }
    if let failure = state.withLock({ $0.failure }) { throw failure }
    if cancellation.isCancelled { throw Failure(.interrupted, Problem(.interrupted, "stopped")) }
  }

  /// - Returns: nil where it was cancelled.
  private func score(_ alpha: Double, job: Int) throws(Failure) -> Outcome? {
    let output = folder.log(alpha, "out")
    let text = command.text(model: folder.candidate(alpha).string, alpha: alpha, job: job)
    let start = SuspendingClock.now
    let end = try runner.run(
      .init(text, output: output, errors: folder.log(alpha, "err"), timeLimit: timeLimit?.duration)
    ) { cancellation.isCancelled }
    let seconds = start.duration(to: .now) / .seconds(1)
    let result: Outcome.Result
    switch end {
    case .cancelled: return nil
    case .exited(0): result = try ScoreText.score(in: tail(of: output))
    case .exited(127): result = .failed(ScoreFailure("exited with 127, as when a command is not found", exitStatus: 127))
    case .exited(let status): result = .failed(ScoreFailure("exited with \(status)", exitStatus: status))
    case .signalled(let signal): result = .failed(ScoreFailure("was killed by signal \(signal)", signal: signal))
    case .timedOut: result = .failed(ScoreFailure("did not end in \(Self.shown(timeLimit?.seconds ?? 0))"))
    }
    return Outcome(alpha: alpha, result: result, seconds: seconds)
  }

  private static func shown(_ seconds: Double) -> String {
    seconds < 60 ? "\(decimal(seconds, seconds == seconds.rounded() ? 0 : 1)) s" : Format.duration(seconds)
  }

  /// The end of a log.
  private func tail(of log: FilePath) throws(Failure) -> [UInt8] {
    let file = try File.open(log)
    let size = try file.status().size
    let start = max(0, size - ScoreText.limit - 1)
    return try file.read(at: start, count: size - start)
  }
}
