import Coordinator
import Deltas
import Diagnostics
import Digests
import FileIO
import Figures
import Planning
import Search
import Synchronization
import SystemPackage
import Worker

/// Merges candidates, has them scored, and keeps the best.
struct SearchRun {
  let merges: CandidateMerges
  let folder: SearchFolder
  let scores: ScoreBatch
  let settings: SearchState.Settings
  /// Bytes that checkpoints may have at a time; nil for what is free, less a reserve.
  let diskBudget: Int?
  /// Whether alphas that failed are tried again.
  let retriesFailed: Bool
  let display: ProgressDisplay
  let console: Console

  /// - Returns: what was found, the checkpoints in their places.
  /// - Throws: `unavailable` where no command gave a score.
  func run() throws(Failure) -> (ranking: Ranking, kept: [Double]) {
    var state = SearchState(settings, outcomes: folder.outcomes.filter { !retriesFailed || $0.score != nil })
    if !folder.outcomes.isEmpty {
      let done = Format.plural(state.ranking.outcomes.count, "alpha")
      tell("going on with a search: \(done) done, \(state.pendingCount) of the list to do")
    }
    if state.next(capacity: .max) != .finish { try requireSpace(state) }
    if state.ranking.outcomes.isEmpty { try look() }
    while case .evaluate(let alphas) = try state.next(capacity: room(beside: state), begun: folder.begun(settings.alphas)) {
      try evaluate(alphas, &state)
    }
    let kept = state.kept
    guard !kept.isEmpty else { throw nothingScored(state) }
    try merges.merge(kept.filter { (try? folder.isKept($0)) != true }, in: folder)
    display.finish()
    try folder.publish(kept)
    try writeSheet(state)
    return (state.ranking, kept)
  }

  private func evaluate(_ alphas: [Double], _ state: inout SearchState) throws(Failure) {
    try folder.sweep(except: Set(alphas + state.kept))
    let names = alphas.map { "\($0)" }.joined(separator: ", ")
    tell("merging \(Format.plural(alphas.count, "candidate")), \(Format.bytes(merges.checkpointBytes)) each: alpha \(names)")
    do throws(Failure) {
      try merges.merge(alphas, in: folder)
      display.finish()
      SearchCrashPoint.merged.pass()
      let jobs = min(scores.jobs, alphas.count)
      tell("scoring \(alphas.count == 1 ? "it" : "them")\(jobs > 1 ? ", \(jobs) at a time" : "")")
      let found = Mutex(state)
      defer { state = found.withLock { $0 } }
      try scores.run(alphas) { [console, folder] outcome, errors in
        found.withLock { $0.record(outcome) }
        Self.show(outcome, errors, folder, console)
      }
    } catch {
      display.finish()
      throw error
    }
    // Where none has a score it may be for the command: once that is mended, they need not be merged again.
    if !state.kept.isEmpty { try folder.sweep(except: Set(state.kept)) }
    try writeSheet(state)
  }

  private func nothingScored(_ state: SearchState) -> Failure {
    Failure(
      .unavailable,
      Problem(
        .noScore, "the score command failed for each of \(Format.plural(state.ranking.outcomes.count, "alpha"))",
        file: folder.path.appending("logs").string,
        remedy: "see what it wrote; go on with --retry-failed, or with another command and --restart"))
  }

  /// Warns of a pair that does not look like one that extrapolation helps, before hours of work.
  private func look() throws(Failure) {
    let sums = try QuickLook.estimate(merges.plan, merges.context())
    display.finish()
    console.warn(DeltaJudgement.warnings(about: sums))
  }

  private func writeSheet(_ state: SearchState) throws(Failure) {
    try folder.writeSheet(ScoreTable.csv(state.ranking, kept: state.kept, checkpoint: folder.place))
  }

  // MARK: space

  /// Checkpoints that there is room for at a time.
  private func capacity() throws(Failure) -> Int {
    if let diskBudget { return diskBudget / merges.checkpointBytes }
    let free = folder.freeBytes
    return (free - free / Self.reserve + (try folder.usedBytes())) / merges.checkpointBytes
  }

  /// Of the free space, this part is left alone.
  private static let reserve = 20

  /// The same, less those that earlier runs kept and that only go at the end.
  private func room(beside state: SearchState) throws(Failure) -> Int {
    try capacity() - folder.keptCount(except: state.kept)
  }

  private func requireSpace(_ state: SearchState) throws(Failure) {
    let (needed, capacity) = (state.leastCapacity, try capacity())
    guard capacity < needed else { return }
    let bytes = merges.checkpointBytes
    throw Failure(
      .cannotCreate,
      Problem(
        .noSpace,
        "\(Format.plural(needed, "checkpoint")) of \(Format.bytes(bytes)) must have room at a time, and \(capacity) have",
        file: folder.path.string,
        remedy: diskBudget == nil
          ? "free \(Format.bytes((needed - capacity) * bytes)), or keep fewer" : "raise --disk-budget, or keep fewer"))
  }

  // MARK: telling

  private func tell(_ line: String) { Self.tell(line, console) }

  private static func tell(_ line: String, _ console: Console) {
    if !console.quiet && !console.json { Console.writeError(line) }
  }

  private static func show(_ outcome: Outcome, _ errors: [String], _ folder: SearchFolder, _ console: Console) {
    let time = Format.duration(outcome.seconds)
    if let score = outcome.score {
      tell("alpha \(outcome.alpha): \(score) (\(time))", console)
    } else if let failure = outcome.failure, !console.json {
      console.warn([
        Problem(
          .scoreFailed, "alpha \(outcome.alpha) has no score: the command \(failure.reason)\(errors.isEmpty ? "" : "; it wrote:")",
          file: folder.log(outcome.alpha, "err").string)
      ])
      for line in errors { Console.writeError("  " + printable(line)) }
    }
    console.emit(CandidateMessage(outcome, errors: errors, rank: nil, checkpoint: nil))
  }
}

extension Problem.Code {
  static let scoreFailed = Self("score-failed")
  static let noScore = Self("no-score")
}
