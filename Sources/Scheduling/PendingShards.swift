/// The shards of a job that wait for a worker, as intervals, so that workers can walk along them.
struct PendingShards: Sendable {
  /// Consecutive shards of one output file that read the same input files.
  struct Stretch: Sendable {
    let shards: Range<Int>
    /// Sorted, with a gap between any two.
    var free: [Range<Int>] = []
    var freeCount = 0
    /// Workers whose next shard lies here.
    var walkers = 0
  }

  private(set) var stretches: [Stretch]
  private(set) var count = 0

  /// - Parameter stretches: in order and without gaps.
  init(stretches: [Range<Int>]) {
    self.stretches = stretches.map { Stretch(shards: $0) }
  }

  /// The stretch that a shard belongs to.
  func stretch(of shard: Int) -> Int {
    var (low, high) = (0, stretches.count)
    while low < high {
      let middle = (low + high) / 2
      if stretches[middle].shards.upperBound <= shard { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// The first interval that ends behind `shard`.
  private func interval(_ stretch: Int, after shard: Int) -> Int {
    let free = stretches[stretch].free
    var (low, high) = (0, free.count)
    while low < high {
      let middle = (low + high) / 2
      if free[middle].upperBound <= shard { low = middle + 1 } else { high = middle }
    }
    return low
  }

  var first: Int? { stretches.first { $0.freeCount > 0 }?.free.first?.lowerBound }

  /// Where a worker that comes should begin: in the middle of the largest interval.
  var roomiest: Int? {
    let largest = stretches.lazy.compactMap { $0.free.max { $0.count < $1.count } }.max { $0.count < $1.count }
    return largest.map { $0.lowerBound + $0.count / 2 }
  }

  func contains(_ shard: Int) -> Bool {
    let stretch = stretch(of: shard)
    guard stretch < stretches.count else { return false }
    let index = interval(stretch, after: shard)
    return index < stretches[stretch].free.count && stretches[stretch].free[index].contains(shard)
  }

  /// Adds a shard that is not in it.
  mutating func insert(_ shard: Int) {
    insert(shard..<shard + 1)
  }

  /// Adds shards, none of which is in it.
  mutating func insert(_ shards: Range<Int>) {
    var start = shards.lowerBound
    while start < shards.upperBound {
      let index = stretch(of: start)
      let end = min(shards.upperBound, stretches[index].shards.upperBound)
      insert(start..<end, into: index)
      start = end
    }
  }

  private mutating func insert(_ shards: Range<Int>, into stretch: Int) {
    let next = interval(stretch, after: shards.lowerBound)
    var merged = shards
    var replaced = next..<next
    if next < stretches[stretch].free.count, stretches[stretch].free[next].lowerBound == shards.upperBound {
      merged = merged.lowerBound..<stretches[stretch].free[next].upperBound
      replaced = next..<next + 1
    }
    if next > 0, stretches[stretch].free[next - 1].upperBound == shards.lowerBound {
      merged = stretches[stretch].free[next - 1].lowerBound..<merged.upperBound
      replaced = next - 1..<replaced.upperBound
    }
    stretches[stretch].free.replaceSubrange(replaced, with: CollectionOfOne(merged))
    stretches[stretch].freeCount += shards.count
    count += shards.count
  }

  /// Takes a shard out.
  ///
  /// - Returns: whether it was in.
  @discardableResult
  mutating func remove(_ shard: Int) -> Bool {
    let stretch = stretch(of: shard)
    guard stretch < stretches.count else { return false }
    let index = interval(stretch, after: shard)
    guard index < stretches[stretch].free.count, stretches[stretch].free[index].contains(shard) else { return false }
    let interval = stretches[stretch].free[index]
    // The usual case, a worker walking on, moves nothing.
    if interval.lowerBound == shard && interval.count > 1 {
      stretches[stretch].free[index] = shard + 1..<interval.upperBound
    } else {
      let rest = [interval.lowerBound..<shard, shard + 1..<interval.upperBound].filter { !$0.isEmpty }
      stretches[stretch].free.replaceSubrange(index..<index + 1, with: rest)
    }
    stretches[stretch].freeCount -= 1
    count -= 1
    return true
  }

  /// Where a worker that comes to a stretch should begin: at its start, or, with others at work there, in the middle of
  /// the largest interval.
  func beginning(in stretch: Int, others: Int) -> Int? {
    let candidate = stretches[stretch]
    guard others > 0 else { return candidate.free.first?.lowerBound }
    guard let largest = candidate.free.max(by: { $0.count < $1.count }) else { return nil }
    return largest.lowerBound + largest.count / 2
  }

  mutating func addWalker(at shard: Int?, _ change: Int) {
    guard let shard else { return }
    let index = stretch(of: shard)
    if index < stretches.count { stretches[index].walkers += change }
  }
}
