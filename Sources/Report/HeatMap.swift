import Deltas
import Figures
import Kernels

/// The relative change of each module in each layer, as a grid: a column for a layer, a row for a module.
struct HeatMap {
  private static let mostColumns = 128
  private static let mostRows = 32

  private struct Row {
    let name: String
    /// By column.
    var measures: [DeltaMeasure?]
  }

  private let columns: [(label: String, name: String)]
  private let rows: [Row]
  private let leftOut: Int
  private let scale: HeatScale

  /// - Returns: nil where the model has no layers, or nothing changed in them.
  init?(_ summary: DeltaSummary) {
    let layers = summary.layers.map(\.layer)
    guard !layers.isEmpty else { return nil }
    let hasStacks = Set(layers.map(\.stack)).count > 1
    let each = (layers.count + Self.mostColumns - 1) / Self.mostColumns
    var places: [DeltaSummary.Layer: Int] = [:]
    for (index, layer) in layers.enumerated() { places[layer] = index / each }
    columns = stride(from: 0, to: layers.count, by: each).map { start in
      let (first, last) = (layers[start], layers[min(start + each, layers.count) - 1])
      let range = first.number == last.number ? "\(first.number)" : "\(first.number) to \(last.number)"
      return ("\(first.number)", hasStacks ? "\(first.stack) \(range)" : "layer \(range)")
    }
    let count = columns.count
    var found: [Row] = []
    for cell in summary.cells {
      if found.last?.name != cell.module {
        found.append(Row(name: cell.module, measures: Array(repeating: nil, count: count)))
      }
      let column = places[cell.layer] ?? 0
      let parts = [found[found.count - 1].measures[column], cell.measure].compactMap { $0 }
      found[found.count - 1].measures[column] = DeltaMeasure(parts)
    }
    // Largest first where there are too many.
    let kept = found.count <= Self.mostRows ? found : Array(found.sorted { Self.norm($0) > Self.norm($1) }.prefix(Self.mostRows))
    guard let scale = HeatScale(kept.flatMap { $0.measures.compactMap { $0?.relativeNorm } }) else { return nil }
    self.scale = scale
    rows = kept
    leftOut = found.count - kept.count
  }

  private static func norm(_ row: Row) -> Double { DeltaMeasure(row.measures.compactMap { $0 })?.relativeNorm ?? 0 }

  var markup: Markup {
    let every = columns.count > 64 ? 10 : columns.count > 32 ? 5 : columns.count > 16 ? 2 : 1
    // All fit a wide page; a narrow one scrolls.
    let width = max(6, min(13, 880 / columns.count))
    let labels = columns.enumerated().map { index, column in
      Markup.element("span", ["class": "column"], index % every == 0 ? column.label : "")
    }
    let cells = rows.flatMap { row in
      [Markup.element("span", ["class": "row"], row.name)]
        + zip(columns, row.measures).map { cell($1, "\($0.name), \(row.name)") }
    }
    let grid = Markup.element(
      "div", ["class": "heat", "style": "grid-template-columns:max-content repeat(\(columns.count),minmax(\(width)px,48px))"],
      [Markup.element("span", ["class": "row corner"], "layer")] + labels + cells)
    var parts = [Markup.element("div", ["class": "scroll"], [grid]), legend]
    if leftOut > 0 { parts.append(.note("\(leftOut) more modules, which changed less, are left out.")) }
    return .element("div", [:], parts)
  }

  private func cell(_ measure: DeltaMeasure?, _ place: String) -> Markup {
    guard let measure, let norm = measure.relativeNorm else { return .element("i", ["class": "none"]) }
    let name = scale.step(of: norm).map { "c\($0)" } ?? "zero"
    return .element("i", ["class": name, "title": "\(place): \(norm > 0 ? Format.percentage(norm) : "unchanged")"])
  }

  private var legend: Markup {
    let steps = (0..<HeatScale.steps).map { step in
      Markup.element(
        "span", ["class": "key"],
        [.element("i", ["class": "c\(step)"]), .text((step == 0 ? "to " : "from ") + Format.percentage(scale.start(of: max(1, step))))])
    }
    let zero = Markup.element("span", ["class": "key"], [.element("i", ["class": "zero"]), .text("unchanged")])
    return .element("div", ["class": "legend"], [zero] + steps)
  }
}
