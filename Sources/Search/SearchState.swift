/// Which alphas are tried next, and which checkpoints are kept. Pure: outcomes in, steps out.
public struct SearchState: Sendable {
  public struct Settings: Sendable, Equatable {
    /// Without doubles.
    public var alphas: [Double]
    /// How many checkpoints are there at the end; at least 1.
    public var keep: Int
    public var lowerIsBetter: Bool
    /// What comes after `alphas`; nil for nothing.
    public var refinement: GoldenSection?
    /// Alphas that are tried in all; nil for no limit.
    public var candidateLimit: Int?

    public init(
      alphas: [Double], keep: Int = 1, lowerIsBetter: Bool = false, refinement: GoldenSection? = nil, candidateLimit: Int? = nil
    ) {
      self.alphas = alphas
      self.keep = keep
      self.lowerIsBetter = lowerIsBetter
      self.refinement = refinement
      self.candidateLimit = candidateLimit
    }
  }

  public enum Step: Sendable, Equatable {
    /// Merge these, in one pass over the inputs, and score each.
    case evaluate([Double])
    case finish
  }

  public let settings: Settings
  private var outcomes: [Double: Outcome]

  /// - Parameter outcomes: of earlier runs; of two of one alpha the last counts.
  public init(_ settings: Settings, outcomes: [Outcome] = []) {
    self.settings = settings
    self.outcomes = Dictionary(outcomes.map { ($0.alpha, $0) }) { $1 }
  }

  public mutating func record(_ outcome: Outcome) { outcomes[outcome.alpha] = outcome }

  public var ranking: Ranking { Ranking(outcomes.values, lowerIsBetter: settings.lowerIsBetter) }

  /// The best so far, best first: their checkpoints are kept.
  public var kept: [Double] { ranking.scored.prefix(settings.keep).map(\.alpha) }

  public func outcome(of alpha: Double) -> Outcome? { outcomes[alpha] }

  /// How many alphas of the list are still to be tried.
  public var pendingCount: Int { pending.count }

  private var pending: [Double] {
    let left = settings.candidateLimit.map { max(0, $0 - outcomes.count) } ?? .max
    return Array(settings.alphas.filter { outcomes[$0] == nil }.prefix(left))
  }

  /// What to do now.
  ///
  /// - Parameters:
  ///   - capacity: checkpoints that there is room for at a time, the kept ones among them.
  ///   - begun: alphas whose merge was begun or is complete; they come first.
  public func next(capacity: Int, begun: Set<Double> = []) -> Step {
    var pending = pending
    if pending.isEmpty, let alpha = settings.refinement?.next(after: ranking), outcomes[alpha] == nil,
      outcomes.count < settings.candidateLimit ?? .max
    {
      pending = [alpha]
    }
    guard !pending.isEmpty else { return .finish }
    let ordered = pending.filter(begun.contains) + pending.filter { !begun.contains($0) }
    return .evaluate(Array(ordered.prefix(max(1, capacity - kept.count))))
  }

  /// Checkpoints that there must be room for at a time: those that are kept, and one more that is tried.
  public var leastCapacity: Int {
    let most = settings.refinement == nil ? max(Set(settings.alphas).union(outcomes.keys).count, 1) : .max
    return min(settings.keep + 1, most)
  }
}
