/// How many events of a kind are worth a line in the log: so many a minute, however many peers there are to cause them.
public struct EventLimit: Sendable {
  public enum Verdict: Sendable, Equatable {
    case told
    /// It is the last that is told for a while.
    case lastTold
    case untold
  }

  let count: Int
  private var since: Int64?
  private var told = 0

  static let interval: Int64 = 60_000_000_000

  /// - Parameter count: events that are told in a minute.
  public init(_ count: Int) {
    self.count = count
  }

  /// - Parameter now: nanoseconds of any clock that only goes forward.
  public mutating func judge(at now: Int64) -> Verdict {
    if since.map({ now - $0 >= Self.interval }) ?? true { (since, told) = (now, 0) }
    guard told < count else { return .untold }
    told += 1
    return told == count ? .lastTold : .told
  }
}
