import Figures

/// Scores over alphas, drawn in characters.
public enum ScoreCurve {
  private static let best: Character = "◆"
  private static let point: Character = "●"
  private static let between: Character = "·"
  private static let failure: Character = "x"

  /// Lines from the highest score to the alphas below; none where there are fewer than two scores.
  ///
  /// - Parameters:
  ///   - width: of the lines, in characters.
  ///   - height: of the drawing, in lines.
  public static func lines(_ ranking: Ranking, width: Int = 72, height: Int = 11) -> [String] {
    let scored = ranking.scored.sorted { $0.alpha < $1.alpha }
    guard scored.count > 1, let best = ranking.best?.alpha, height > 1 else { return [] }
    let scale = ScoreScale(scored.compactMap(\.score))
    let labels = [scale.most, scale.least].map { decimal($0, scale.places) }
    let margin = max(labels[0].count, labels[1].count)
    let columns = max(width - margin - 3, 2)
    let alphas = ranking.outcomes.map(\.alpha)
    guard let first = alphas.min(), let last = alphas.max() else { return [] }

    func column(_ alpha: Double) -> Int { Int(((alpha - first) / (last - first) * Double(columns - 1)).rounded()) }
    func row(_ score: Double) -> Int {
      // Halves, as the range itself may be too large for a Double.
      let range = scale.most / 2 - scale.least / 2
      guard range > 0 else { return height / 2 }
      return Int(((scale.most / 2 - score / 2) / range * Double(height - 1)).rounded())
    }

    var cells = Array(repeating: Array(repeating: Character(" "), count: columns), count: height)
    for (one, other) in zip(scored, scored.dropFirst()) {
      let (start, end) = (column(one.alpha), column(other.alpha))
      guard end > start, let low = one.score, let high = other.score else { continue }
      for place in start...end {
        let share = Double(place - start) / Double(end - start)
        cells[row(low * (1 - share) + high * share)][place] = between
      }
    }
    for outcome in ranking.failed { cells[height - 1][column(outcome.alpha)] = failure }
    for outcome in scored { cells[row(outcome.score ?? 0)][column(outcome.alpha)] = point }
    if let score = ranking.best?.score { cells[row(score)][column(best)] = Self.best }

    var lines = cells.enumerated().map { index, cells in
      let label = index == row(scale.most) ? labels[0] : index == row(scale.least) ? labels[1] : ""
      let line = Format.right(label, margin) + " │" + String(cells)
      return String(line.reversed().drop { $0 == " " }.reversed())
    }
    let indent = String(repeating: " ", count: margin + 1)
    lines.append(indent + "└" + String(repeating: "─", count: columns))
    lines.append(axis(first, last, columns, indent))
    return lines
  }

  /// The least and the greatest alpha, and what stands between.
  private static func axis(_ first: Double, _ last: Double, _ columns: Int, _ indent: String) -> String {
    let (left, right) = ("\(first)", "\(last)")
    let gap = columns - left.count - right.count
    guard gap > 0 else { return "\(indent) \(left) to \(right)" }
    let word = gap >= 9 ? "alpha" : ""
    let before = (gap - word.count) / 2
    return indent + " " + left + String(repeating: " ", count: before) + word
      + String(repeating: " ", count: gap - word.count - before) + right
  }
}
