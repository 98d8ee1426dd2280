import Checkpoint
public import Diagnostics
import Figures
public import Kernels

extension Problem.Code {
  public static let layerStandsOut = Self("layer-stands-out")
  public static let moduleUntouched = Self("module-untouched")
  public static let rowsStandOut = Self("rows-stand-out")
  public static let findingsLeftOut = Self("findings-left-out")
}

/// The last rows of an embedding or head, where added tokens are: each of them by itself.
public struct TailRows: Sendable, Equatable {
  public let tensor: String
  /// The number of the first of them.
  public let first: Int
  public let rows: [DeltaSums]

  public init(tensor: String, first: Int, rows: [DeltaSums]) {
    self.tensor = tensor
    self.first = first
    self.rows = rows
  }
}

/// Parts of a model that changed unlike the rest.
public enum DeltaFindings {
  /// As many times as its neighbours, or as the whole tensor, does a part have to change to stand out.
  static let standsOutAt = 10.0
  /// A row of a token that was trained from nothing changes at least by this part of its norm.
  static let leastRowNorm = 0.05
  /// Layers before and behind one that it is compared with.
  static let neighbours = 2
  private static let limit = 20

  /// What is conspicuous in a pair that is not identical as a whole.
  public static func problems(in summary: DeltaSummary, tails: [TailRows] = []) -> [Problem] {
    guard summary.total.sums.largestDelta > 0 else { return [] }
    return bounded(tails.compactMap { standingOut($0, summary) }, "rows")
      + bounded(outliers(summary), "layers that stand out") + bounded(untouched(summary), "parts that did not change")
  }

  private static func bounded(_ problems: [Problem], _ what: String) -> [Problem] {
    guard problems.count > limit else { return problems }
    return problems.prefix(limit) + [Problem(.findingsLeftOut, "and \(problems.count - limit) more \(what)")]
  }

  // MARK: layers

  private static func outliers(_ summary: DeltaSummary) -> [Problem] {
    var problems: [Problem] = []
    var modules: [(name: String, stack: String, cells: [(layer: Int, norm: Double)])] = []
    for cell in summary.cells {
      guard let norm = cell.measure.relativeNorm else { continue }
      if modules.last?.name != cell.module || modules.last?.stack != cell.layer.stack {
        modules.append((cell.module, cell.layer.stack, []))
      }
      modules[modules.count - 1].cells.append((cell.layer.number, norm))
    }
    for module in modules {
      for (index, cell) in module.cells.enumerated() {
        let near = (index - neighbours...index + neighbours).filter { $0 != index && module.cells.indices.contains($0) }
        guard near.count >= neighbours, let usual = median(near.map { module.cells[$0].norm }), usual > 0,
          cell.norm >= standsOutAt * usual
        else { continue }
        problems.append(
          Problem(
            .layerStandsOut,
            "layer \(cell.layer) changed by \(Format.percentage(cell.norm)), its neighbours by \(Format.percentage(usual))",
            tensor: "\(module.stack).\(cell.layer).\(module.name)",
            remedy: "see whether the layer was trained apart, or damaged"))
      }
    }
    return problems
  }

  /// The lower one of two in the middle.
  private static func median(_ values: [Double]) -> Double? {
    values.isEmpty ? nil : values.sorted()[(values.count - 1) / 2]
  }

  // MARK: what did not change

  /// Norms are left out: their weights are near 1, where BF16 cannot hold the change that they would make.
  private static func untouched(_ summary: DeltaSummary) -> [Problem] {
    func isUntouched(_ measure: DeltaMeasure) -> Bool {
      measure.sums.elements > 0 && measure.sums.unchanged + measure.sums.nonFiniteInputs == measure.sums.elements
    }
    let modules = summary.modules.filter { isUntouched($0.measure) && TensorRole(of: $0.name).kind != .norm }
    let layers = summary.layers.filter { isUntouched($0.measure) }
    return modules.map {
      Problem(.moduleUntouched, "did not change at all", tensor: $0.name, remedy: "it was frozen, or is not where training was")
    }
      + layers.map {
        Problem(.moduleUntouched, "layer \($0.layer.number) did not change at all", tensor: "\($0.layer)")
      }
  }

  // MARK: rows

  private static func standingOut(_ tail: TailRows, _ summary: DeltaSummary) -> Problem? {
    // Of the two the one that added rows have less of a part in.
    let whole = summary.tensors.first { $0.name == tail.tensor }?.measure.relativeNorm
    let usual = [whole, median(tail.rows.compactMap(\.relativeNorm))].compactMap { $0 }.min() ?? 0
    let rows = tail.rows.indices.filter { index in
      guard let norm = tail.rows[index].relativeNorm else { return false }
      return norm >= max(standsOutAt * usual, leastRowNorm)
    }
    guard let first = rows.first else { return nil }
    let count = Format.plural(rows.count, "row")
    return Problem(
      .rowsStandOut,
      "\(count) of the last \(tail.rows.count), the first of them row \(tail.first + first), changed at least \(Int(standsOutAt)) times as much as the tensor: tokens that were added",
      tensor: tail.tensor, remedy: "extrapolating rows that sft never trained has no meaning: compare the tokenizers")
  }
}
