public import Wire

/// The latest transitions, so that an illegal one can tell how it came about.
public struct Story: Sendable {
  public struct Entry: Sendable, CustomStringConvertible {
    public let time: Instant
    public let job: JobID
    public let shard: Int
    public let what: String

    public var description: String {
      "\(Double(time.nanoseconds / 1_000_000) / 1000) s: job \(job) shard \(shard): \(what)"
    }
  }

  private var ring: [Entry] = []
  private var next = 0
  private let limit: Int

  init(limit: Int) {
    self.limit = limit
  }

  mutating func add(_ time: Instant, _ job: JobID, _ shard: Int, _ what: @autoclosure () -> String) {
    guard limit > 0 else { return }
    let entry = Entry(time: time, job: job, shard: shard, what: what())
    if ring.count < limit {
      ring.append(entry)
    } else {
      ring[next] = entry
      next = (next + 1) % limit
    }
  }

  /// In order of time.
  public var entries: [Entry] { Array(ring[next...] + ring[..<next]) }

  func of(_ job: JobID, _ shard: Int) -> String {
    entries.filter { $0.job == job && $0.shard == shard }.map(\.description).joined(separator: "; ")
  }
}
