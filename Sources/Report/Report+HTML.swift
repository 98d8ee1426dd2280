import Deltas
import Diagnostics
import Figures
import Kernels

extension Report {
  private static let mostProblems = 50
  private static let mostRows = 24

  /// The page. Its size is bounded, however many tensors there are.
  public var html: String {
    let sections = [
      heatMap, groups("By kind", summary.kinds), groups("By projection", summary.projections), outside, distributions, reach,
      table("Recipe", recipe), throughput, workers,
    ]
    return Markup.page(
      title: title, style: Self.style,
      [header, keyFigures, judgement] + sections.compactMap { $0 } + [.element("footer", [:], footer)])
  }

  // MARK: the top

  private var header: Markup {
    .element("header", [:], [.element("h1", [:], title), .element("p", ["class": "note"], subtitle)])
  }

  private var keyFigures: Markup {
    let total = summary.total
    var rows: [Row] = []
    if let norm = total.relativeNorm { rows.append(Row("relative change", Format.percentage(norm))) }
    if let cosine = total.cosine { rows.append(Row("cosine", decimal(min(cosine, 1), 6))) }
    if let share = total.unchangedShare { rows.append(Row("elements unchanged", "\(decimal(share * 100, 1)) %")) }
    rows.append(Row("largest change", Format.ratio(total.sums.largestDelta)))
    if let kurtosis = total.kurtosis { rows.append(Row("kurtosis of the change", decimal(kurtosis, 1))) }
    return .element(
      "div", ["class": "tiles"],
      (rows + figures).map { row in
        .element("div", ["class": "tile"], [.element("b", [:], row.text), .element("span", [:], row.name)])
      })
  }

  private var judgement: Markup {
    var parts = [
      Markup.element("p", ["class": "verdict \(verdict.kind.rawValue)"], Self.sentence(verdict)),
      .element("ul", [:], verdict.reasons.map { .element("li", [:], $0) }),
    ]
    if !verdict.alphas.isEmpty {
      parts.append(.element("p", [:], "Usually tried for such a change: alpha \(verdict.alphaList)."))
    }
    if !problems.isEmpty {
      parts.append(.element("h3", [:], "What to look at"))
      var items = problems.prefix(Self.mostProblems).map { Markup.element("li", [:], "\($0)") }
      if problems.count > items.count { items.append(.element("li", [:], "and \(problems.count - items.count) more")) }
      parts.append(.element("ul", ["class": "problems"], items))
    }
    return .section("Verdict", parts)
  }

  private static func sentence(_ verdict: Verdict) -> String {
    switch verdict.kind {
    case .identical, .nearlyIdentical: "The pair is \(verdict.title)."
    case .unknown: "Of the pair \(verdict.title)."
    case .preferenceTraining, .supervisedTraining, .differentBase: "The pair \(verdict.title)."
    }
  }

  // MARK: what changed

  private var heatMap: Markup? {
    guard let map = HeatMap(summary) else { return nil }
    return .section("Change by layer and module", [
      .note("The norm of the difference over the norm of aligned's weights. A column is a layer, a row a module."), map.markup,
    ])
  }

  private func groups(_ title: String, _ groups: [DeltaSummary.Group]) -> Markup? {
    changes(title, groups.map { ($0.name, $0.measure) })
  }

  private var outside: Markup? {
    changes("Outside of the layers", summary.outside.map { ($0.name, $0.measure) })
  }

  private func changes(_ title: String, _ rows: [(name: String, measure: DeltaMeasure)]) -> Markup? {
    guard let most = rows.compactMap(\.measure.relativeNorm).max() else { return nil }
    let hasKurtosis = rows.contains { $0.measure.kurtosis != nil }
    let shown = rows.prefix(Self.mostRows).map { name, measure in
      let change: [Markup] = [
        .text(name), .bar((measure.relativeNorm ?? 0) / max(most, .leastNonzeroMagnitude)),
        .text(measure.relativeNorm.map(Format.percentage) ?? "-"),
      ]
      let rest: [Markup] = [
        .text(measure.cosine.map { decimal(min($0, 1), 6) } ?? "-"),
        .text(measure.unchangedShare.map { "\(decimal($0 * 100, 1)) %" } ?? "-"),
        .text(Format.ratio(measure.sums.largestDelta)),
      ]
      return change + rest + (hasKurtosis ? [.text(measure.kurtosis.map { decimal($0, 1) } ?? "-")] : [])
    }
    let header = ["", "", "change", "cosine", "unchanged", "largest"] + (hasKurtosis ? ["kurtosis"] : [])
    let rest = rows.count - shown.count
    return .section(title, [.table(header, shown)] + (rest > 0 ? [.note("\(rest) more are left out.")] : []))
  }

  private var distributions: Markup? {
    let histograms = [Histogram(elementsOf: summary), Histogram(tensorsOf: summary)].compactMap { $0?.markup }
    return histograms.isEmpty ? nil : .section("Distribution of the change", histograms)
  }

  /// What each alpha adds.
  private var reach: Markup? {
    guard let norm = summary.total.relativeNorm, norm > 0 else { return nil }
    let shown = Set(verdict.alphas + alphas + [0.1, 0.2, 0.3, 0.4, 0.5]).sorted()
    let most = shown.map(abs).max() ?? 1
    var parts = [
      Markup.note("alpha times the norm of the difference, over the norm of aligned's weights."),
      .table(
        ["alpha", "", "added"],
        shown.map { alpha in
          let isMarked = alphas.contains(alpha)
          return [
            .text(isMarked ? "\(alpha), in this recipe" : "\(alpha)"), .bar(abs(alpha) / most, isMarked: isMarked),
            .text(Format.percentage(abs(alpha) * norm)),
          ]
        }),
    ]
    if let limit = summary.total.f16Limit, limit < DeltaJudgement.conceivableAlpha {
      let looked = isSample ? ", where it was looked at" : ""
      parts.append(.note("In F16, whose largest value is 65504, a result would be infinite from alpha \(Format.ratio(limit)) on\(looked)."))
    }
    return .section("What an alpha adds", parts)
  }

  private func table(_ title: String, _ rows: [Row]) -> Markup? {
    guard !rows.isEmpty else { return nil }
    let items = rows.map { Markup.element("tr", [:], [.element("th", ["scope": "row"], $0.name), .element("td", [:], $0.text)]) }
    return .section(
      title, [.element("div", ["class": "scroll"], [.element("table", ["class": "facts"], [.element("tbody", [:], items)])])])
  }

  // MARK: the work

  private var throughput: Markup? {
    guard let work else { return nil }
    let seconds = Double(work.milliseconds) / 1000 / Double(work.bytes.count)
    let bars = work.bytes.enumerated().map { index, bytes in
      Histogram.Bar(
        height: bytes,
        title: "after \(Format.duration(Double(index) * seconds)): \(Format.rate(bytes / seconds)) of output")
    }
    let most = (work.bytes.max() ?? 0) / seconds
    let total = work.bytes.reduce(0, +)
    return .section("Throughput", [
      .note(
        "\(Format.bytes(Int(total))) of output in \(Format.duration(Double(work.milliseconds) / 1000)), from \(Format.time(work.begin)) on; at most \(Format.rate(most)). Pauses of an interrupted merge count."),
      Histogram(bars, first: "0:00", last: Format.duration(Double(work.milliseconds) / 1000)).markup,
    ])
  }

  private var workers: Markup? {
    guard let work, let most = work.workers.first?.bytes else { return nil }
    let total = work.workers.reduce(0) { $0 + $1.bytes }
    let rows = work.workers.prefix(Self.mostRows).map { share in
      [
        Markup.text(share.worker), .bar(Double(share.bytes) / Double(max(most, 1))), .text(Format.percent(share.bytes, of: total)),
        .text(Format.bytes(share.bytes)), .text("\(share.shards)"), .text(Format.duration(Double(share.milliseconds) / 1000)),
      ]
    }
    let rest = work.workers.count - rows.count
    return .section(
      "Workers",
      [.table(["", "", "share", "output", "shards", "time of slots"], rows)]
        + (rest > 0 ? [.note("\(rest) more workers are left out.")] : []))
  }
}
