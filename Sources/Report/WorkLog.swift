/// What was done when and by whom, from the records of a merge's shards.
public struct WorkLog: Sendable, Equatable {
  public struct Entry: Sendable, Equatable {
    public let worker: String
    /// Of output.
    public let bytes: Int
    /// That it took; at least 1.
    public let milliseconds: Int
    /// Milliseconds since 1970.
    public let finishedAt: Int

    public init(worker: String, bytes: Int, milliseconds: Int, finishedAt: Int) {
      self.worker = worker
      // No shard is larger, and sums of these do not overflow.
      self.bytes = max(0, min(bytes, 1 << 40))
      // Times of a clock that was set may be anything; these are exact as Double.
      self.milliseconds = max(1, min(milliseconds, 1 << 40))
      self.finishedAt = max(-1 << 51, min(finishedAt, 1 << 51))
    }

    fileprivate var begin: Double { Double(finishedAt - milliseconds) }
    fileprivate var end: Double { Double(finishedAt) }
  }

  public struct Share: Sendable, Equatable {
    public let worker: String
    public internal(set) var bytes = 0
    public internal(set) var shards = 0
    /// Of all its slots together.
    public internal(set) var milliseconds = 0
  }

  /// Milliseconds since 1970, by a clock that anyone may set.
  public let begin: Int
  /// From the first shard's begin to the last one's end.
  public let milliseconds: Int
  /// Bytes in equal parts of that time; a shard's are spread evenly over the time that it took.
  public let bytes: [Double]
  /// Largest first.
  public let workers: [Share]

  private static let mostParts = 60

  /// - Returns: nil where there are no entries.
  public init?(_ entries: [Entry]) {
    guard let begin = entries.map(\.begin).min(), let end = entries.map(\.end).max() else { return nil }
    self.begin = Int(begin)
    milliseconds = Int(end - begin)
    let count = min(Self.mostParts, milliseconds)
    let width = (end - begin) / Double(count)
    var parts = Array(repeating: 0.0, count: count)
    var shares: [String: Share] = [:]
    for entry in entries {
      let first = min(count - 1, Int((entry.begin - begin) / width))
      let last = max(first, min(count - 1, Int((entry.end - begin) / width)))
      for part in first...last {
        let from = max(entry.begin, begin + Double(part) * width)
        let to = part == last ? entry.end : begin + Double(part + 1) * width
        parts[part] += Double(entry.bytes) * max(0, to - from) / (entry.end - entry.begin)
      }
      var share = shares[entry.worker] ?? Share(worker: entry.worker)
      share.bytes += entry.bytes
      share.shards += 1
      share.milliseconds += entry.milliseconds
      shares[entry.worker] = share
    }
    bytes = parts
    workers = shares.values.sorted { ($1.bytes, $0.worker) < ($0.bytes, $1.worker) }
  }
}
