import Figures

/// What a search has found, as people and programs read it.
public enum ScoreTable {
  /// A line for each alpha below a line of headings, best first.
  ///
  /// - Parameter kept: alphas whose checkpoints are kept.
  public static func lines(_ ranking: Ranking, kept: [Double]) -> [String] {
    let places = ScoreScale(ranking.scored.compactMap(\.score)).places
    let rows = ranking.outcomes.indices.map { index in
      let outcome = ranking.outcomes[index]
      let remark = outcome.failure?.reason ?? (kept.contains(outcome.alpha) ? "kept" : "")
      return [
        ranking.rank(at: index).map { "\($0)" } ?? "-", "\(outcome.alpha)", outcome.score.map { decimal($0, places) } ?? "failed",
        Format.duration(outcome.seconds), remark,
      ]
    }
    let all = [["rank", "alpha", "score", "time", ""]] + rows
    let widths = (0..<4).map { column in all.map { $0[column].count }.max() ?? 0 }
    return all.map { row in
      let cells = (0..<4).map { column in
        // Alphas start alike, everything else ends alike.
        column == 1 ? Format.padded(row[column], widths[column]) : Format.right(row[column], widths[column])
      }
      let line = (cells + [row[4]]).joined(separator: "  ")
      return String(line.reversed().drop { $0 == " " }.reversed())
    }
  }

  /// The same with all digits, as RFC 4180 has it (docs/search.md).
  ///
  /// - Parameter checkpoint: where that of a kept alpha is.
  public static func csv(_ ranking: Ranking, kept: [Double], checkpoint: (Double) -> String) -> String {
    var text = "rank,alpha,score,seconds,checkpoint,failure\r\n"
    for (index, outcome) in ranking.outcomes.enumerated() {
      let cells = [
        ranking.rank(at: index).map { "\($0)" } ?? "", "\(outcome.alpha)", outcome.score.map { "\($0)" } ?? "",
        decimal(outcome.seconds, 3), kept.contains(outcome.alpha) ? checkpoint(outcome.alpha) : "", outcome.failure?.reason ?? "",
      ]
      text += cells.map(cell).joined(separator: ",") + "\r\n"
    }
    return text
  }

  private static func cell(_ text: String) -> String {
    guard text.contains(where: { $0 == "," || $0 == "\"" || $0.isNewline }) else { return text }
    return "\"" + text.replacing("\"", with: "\"\"") + "\""
  }
}

/// How scores are shown beside each other.
struct ScoreScale {
  let least: Double
  let most: Double
  /// Decimals that tell a ten-thousandth of their range.
  let places: Int

  init(_ scores: [Double]) {
    least = scores.min() ?? 0
    most = scores.max() ?? 0
    let range = most - least > 0 ? most - least : max(abs(most), abs(least))
    var (places, grain) = (0, range / 10_000)
    while grain > 0, grain < 0.5, places < 12 {
      places += 1
      grain *= 10
    }
    self.places = places
  }
}
