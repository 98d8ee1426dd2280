/// Outcomes in order: scores from best to worst, then failures.
///
/// Of equal scores that of the alpha nearer to 0 comes first, which changes the model less; of two as near, the negative one.
/// Failures stand by alpha.
public struct Ranking: Sendable {
  public let outcomes: [Outcome]
  /// How many of them have a score.
  public let scoredCount: Int
  public let lowerIsBetter: Bool

  public init(_ outcomes: some Sequence<Outcome>, lowerIsBetter: Bool) {
    self.lowerIsBetter = lowerIsBetter
    self.outcomes = outcomes.sorted { one, other in
      switch (one.score, other.score) {
      case (let first?, let second?) where first != second: return (first < second) == lowerIsBetter
      case (nil, nil): return one.alpha < other.alpha
      case (nil, _?): return false
      case (_?, nil): return true
      default: return (abs(one.alpha), one.alpha) < (abs(other.alpha), other.alpha)
      }
    }
    scoredCount = self.outcomes.count { $0.score != nil }
  }

  public var scored: ArraySlice<Outcome> { outcomes.prefix(scoredCount) }
  public var failed: ArraySlice<Outcome> { outcomes.dropFirst(scoredCount) }
  public var best: Outcome? { scored.first }

  /// 1 for the best; equal scores have one rank, and the next is as many behind. nil for a failure.
  public func rank(at index: Int) -> Int? {
    guard index < scoredCount, let score = outcomes[index].score else { return nil }
    // They are in order.
    var first = index
    while first > 0, outcomes[first - 1].score == score { first -= 1 }
    return first + 1
  }
}
