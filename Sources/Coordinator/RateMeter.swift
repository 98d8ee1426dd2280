import Scheduling

/// Bytes a second, of late.
struct RateMeter: Sendable {
  private var samples: [(time: Instant, bytes: Int)] = []
  private(set) var total = 0
  private static let window = 10_000

  mutating func add(_ bytes: Int, at now: Instant) {
    total += bytes
    samples.append((now, bytes))
    if samples.count > 256 { trim(now) }
  }

  /// Keeps the total only.
  mutating func forget() {
    samples = []
  }

  private mutating func trim(_ now: Instant) {
    samples.removeAll { now.milliseconds(since: $0.time) > Self.window }
  }

  /// - Parameter start: since when bytes could have come.
  func rate(at now: Instant, since start: Instant) -> Double {
    let recent = samples.filter { now.milliseconds(since: $0.time) <= Self.window }
    let bytes = recent.reduce(0) { $0 + $1.bytes }
    let seconds = min(max(now.seconds(since: start), 0.001), Double(Self.window) / 1000)
    return Double(bytes) / seconds
  }
}
