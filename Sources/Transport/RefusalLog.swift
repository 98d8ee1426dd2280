/// Which refusals are worth a line in the log: one a minute of each kind, as whoever is refused tries again and again.
public struct RefusalLog: Sendable {
  private var lastTold: [String: Int64] = [:]

  static let interval: Int64 = 60_000_000_000
  /// Kinds that are remembered; beyond these, those that come are not told until some are a minute old.
  static let limit = 1000

  public init() {}

  /// - Parameters:
  ///   - kind: who and where.
  ///   - now: nanoseconds of any clock that only goes forward.
  public mutating func shouldTell(_ kind: String, at now: Int64) -> Bool {
    if let last = lastTold[kind] {
      guard now - last >= Self.interval else { return false }
    } else if lastTold.count >= Self.limit {
      lastTold = lastTold.filter { now - $0.value < Self.interval }
      guard lastTold.count < Self.limit else { return false }
    }
    lastTold[kind] = now
    return true
  }
}
