import Deltas
import Figures
import Glibc
import Kernels

/// Upright bars of equal width, and what stands at both ends below them.
struct Histogram {
  struct Bar {
    let height: Double
    let title: String
  }

  private let bars: [Bar]
  private let first: String
  private let last: String
  private var caption: String?

  init(_ bars: [Bar], first: String, last: String) {
    self.bars = bars
    self.first = first
    self.last = last
  }

  /// Elements by the magnitude of their change, in powers of two; nil where that was not measured.
  init?(elementsOf summary: DeltaSummary) {
    guard let counts = summary.total.shape?.magnitudes, let least = counts.firstIndex(where: { $0 > 0 }),
      let most = counts.lastIndex(where: { $0 > 0 })
    else { return nil }
    let all = Double(max(1, summary.total.sums.elements))
    func size(_ index: Int) -> String { "2^\(index + DeltaShape.leastExponent)" }
    bars = (least...most).map { index in
      Bar(height: Double(counts[index]), title: "\(size(index)) to \(size(index + 1)): \(Format.percentage(Double(counts[index]) / all)) of elements")
    }
    first = size(least)
    last = size(most + 1)
    caption = "Elements that changed, by the size of their change; each bar is a factor of two."
  }

  /// Parameters by the relative change of the tensor that they are in, four bars to a factor of ten.
  init?(tensorsOf summary: DeltaSummary) {
    var weights: [Int: UInt64] = [:]
    for tensor in summary.tensors {
      guard let norm = tensor.measure.relativeNorm, norm > 0 else { continue }
      weights[Int(max(-40, min(8, (log10(norm) * 4).rounded(.down)))), default: 0] += tensor.measure.sums.elements
    }
    guard let least = weights.keys.min(), let most = weights.keys.max() else { return nil }
    let all = Double(max(1, summary.total.sums.elements))
    func size(_ bin: Int) -> String { Format.percentage(pow(10, Double(bin) / 4)) }
    // Bars around a lone one, so that it does not fill the page.
    bars = (least - 2...most + 2).map { bin in
      let share = Double(weights[bin] ?? 0) / all
      return Bar(height: share, title: "tensors that changed by \(size(bin)) to \(size(bin + 1)): \(Format.percentage(share)) of parameters")
    }
    first = size(least - 2)
    last = size(most + 3)
    caption = "Parameters, by the relative change of the tensor that they are in."
  }

  var markup: Markup {
    let most = bars.map(\.height).max() ?? 0
    let columns = bars.map { bar in
      let share = most > 0 ? bar.height / most : 0
      // What is not nothing is seen.
      let height = bar.height > 0 ? max(1, Int((share * 100).rounded())) : 0
      return Markup.element("span", ["title": bar.title], [.element("i", ["style": "height:\(height)%"])])
    }
    let ends = Markup.element("div", ["class": "ends"], [.element("span", [:], first), .element("span", [:], last)])
    return .element(
      "div", ["class": "histogram"],
      (caption.map { [.note($0)] } ?? []) + [.element("div", ["class": "columns"], columns), ends])
  }
}
