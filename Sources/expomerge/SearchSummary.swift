import Diagnostics
import Search
import SystemPackage

/// What a search says at its end.
struct SearchSummary {
  let ranking: Ranking
  let kept: [Double]
  let folder: SearchFolder
  /// Characters in a line.
  let width: Int

  func show(_ console: Console) {
    guard let best = ranking.best, let score = best.score else { return }
    let lines = ScoreTable.lines(ranking, kept: kept)
    let curve = ScoreCurve.lines(ranking, width: min(width, 100))
    for line in lines + (curve.isEmpty ? [] : [""] + curve) { console.result(line) }
    console.result("")
    console.result("best: alpha \(best.alpha), score \(score), in \(folder.kept(best.alpha).string)")
    if GoldenSection.isAtEdge(ranking) {
      let end = ranking.outcomes.allSatisfy { $0.alpha <= best.alpha } ? "greatest" : "least"
      console.result("note: it is the \(end) alpha that was tried; beyond it there may be a better one")
    }
    if let second = ranking.scored.dropFirst().first, second.score == score {
      console.result("note: \(second.alpha) has the same score; of equals the alpha nearer to 0 is taken")
    }
    console.emit(
      Message(
        type: "search", output: folder.path.string,
        best: CandidateMessage(best, errors: nil, rank: 1, checkpoint: folder.kept(best.alpha).string),
        candidates: ranking.outcomes.indices.map { index in
          let outcome = ranking.outcomes[index]
          let checkpoint = kept.contains(outcome.alpha) ? folder.kept(outcome.alpha).string : nil
          return CandidateMessage(outcome, errors: nil, rank: ranking.rank(at: index), checkpoint: checkpoint)
        }))
  }

  private struct Message: Encodable {
    let type: String
    let output: String
    let best: CandidateMessage
    /// Best first.
    let candidates: [CandidateMessage]
  }
}

/// An alpha as `--json` shows it.
struct CandidateMessage: Encodable {
  var type = "candidate"
  let alpha: Double
  let score: Double?
  let rank: Int?
  let seconds: Double
  /// Of one that is kept.
  let checkpoint: String?
  let failure: String?
  let exitStatus: Int32?
  let signal: Int32?
  /// The last lines of what its command wrote to standard error, where it failed.
  let errors: [String]?

  init(_ outcome: Outcome, errors: [String]?, rank: Int?, checkpoint: String?) {
    alpha = outcome.alpha
    score = outcome.score
    self.rank = rank
    seconds = outcome.seconds
    self.checkpoint = checkpoint
    failure = outcome.failure?.reason
    exitStatus = outcome.failure?.exitStatus
    signal = outcome.failure?.signal
    self.errors = outcome.failure == nil ? nil : errors
  }
}
