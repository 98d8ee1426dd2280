/// Narrows the place of the best alpha by golden section: between the best and the farther of its neighbours, the next alpha
/// is tried at a distance of 0.382 of what lies between. Right for scores that rise to one maximum and fall after it.
///
/// It is a function of what is known, not of how that came to be: a search that was interrupted goes on as it would have.
public struct GoldenSection: Sendable, Equatable {
  /// How far the neighbours of the best may be from it at the end.
  public let tolerance: Double
  /// Alphas are rounded to so many, so that names stay short: a tenth of the tolerance.
  private let places: Int

  public static let leastTolerance = 1e-9
  /// 2 less the golden ratio.
  private static let share = 0.381966011250105

  /// - Parameter tolerance: at least `leastTolerance`.
  public init(tolerance: Double) {
    precondition(tolerance >= Self.leastTolerance && tolerance.isFinite)
    self.tolerance = tolerance
    var (places, grain) = (0, 1.0)
    while grain > tolerance / 10 * (1 + 1e-9) {
      places += 1
      grain /= 10
    }
    self.places = places
  }

  /// The next alpha to try; nil where the best is known well enough, or where nothing is known.
  ///
  /// An alpha whose command failed counts as worse than all others.
  public func next(after ranking: Ranking) -> Double? {
    guard let best = ranking.best?.alpha else { return nil }
    let alphas = ranking.outcomes.map(\.alpha)
    let neighbours = [alphas.filter { $0 < best }.max(), alphas.filter { $0 > best }.min()].compactMap { $0 }
    guard let farthest = neighbours.max(by: { abs($0 - best) < abs($1 - best) }),
      abs(farthest - best) > tolerance * (1 + 1e-9)
    else { return nil }
    let probe = rounded(best + Self.share * (farthest - best))
    // As it is, but for a tolerance at the limit of what a Double can tell apart.
    guard min(best, farthest) < probe, probe < max(best, farthest) else { return nil }
    return probe
  }

  private func rounded(_ alpha: Double) -> Double {
    var scale = 1.0
    for _ in 0..<places { scale *= 10 }
    let units = (alpha * scale).rounded()
    guard abs(units) < 0x1p53 else { return alpha }
    return Decimal(units: Int(units), places: places).value
  }

  /// Whether the best is the least or the greatest of several alphas: beyond it there may be better ones.
  public static func isAtEdge(_ ranking: Ranking) -> Bool {
    guard let best = ranking.best?.alpha, ranking.outcomes.count > 1 else { return false }
    let alphas = ranking.outcomes.map(\.alpha)
    return best == alphas.min() || best == alphas.max()
  }
}
