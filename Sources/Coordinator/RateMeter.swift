import Scheduling

/// Bytes a second, of late.
struct RateMeter: Sendable {
  /// Bytes by second, the oldest first.
  private var seconds: [(second: Int64, bytes: Int)] = []
  private(set) var total = 0
  private static let window: Int64 = 10

  private static func second(_ instant: Instant) -> Int64 { instant.nanoseconds / 1_000_000_000 }

  mutating func add(_ bytes: Int, at now: Instant) {
    total += bytes
    let second = Self.second(now)
    if let last = seconds.last, last.second == second {
      seconds[seconds.count - 1].bytes += bytes
      return
    }
    seconds.append((second, bytes))
    while let first = seconds.first, second - first.second > Self.window { seconds.removeFirst() }
  }

  /// Keeps the total only.
  mutating func forget() {
    seconds = []
  }

  /// - Parameter start: since when bytes could have come.
  func rate(at now: Instant, since start: Instant) -> Double {
    let first = Self.second(now) - Self.window
    let bytes = seconds.reduce(0) { $0 + ($1.second > first ? $1.bytes : 0) }
    return Double(bytes) / min(max(now.seconds(since: start), 0.001), Double(Self.window))
  }
}
