import Glibc

/// Steps of a sequential palette for numbers that may differ by orders of magnitude: each step is the same ratio.
struct HeatScale {
  /// As many as the style has colours.
  static let steps = 7
  /// The widest range that is told apart; what is smaller has the first colour.
  private static let widest = 1000.0
  /// So that what is nearly equal looks nearly equal.
  private static let narrowest = 4.0

  let low: Double
  let high: Double

  /// - Returns: nil where no value is larger than zero.
  init?(_ values: [Double]) {
    let positive = values.filter { $0 > 0 && $0.isFinite }
    guard let least = positive.min(), let most = positive.max() else { return nil }
    high = most
    low = min(max(least, most / Self.widest), most / Self.narrowest)
  }

  /// From 0 to `steps` - 1; nil for zero.
  func step(of value: Double) -> Int? {
    guard value > 0 else { return nil }
    let place = log(value / low) / log(high / low)
    return min(Self.steps - 1, Int(max(0, min(1, place)) * Double(Self.steps)))
  }

  /// Where a step begins.
  func start(of step: Int) -> Double { low * pow(high / low, Double(step) / Double(Self.steps)) }
}
