import Digests
import Kernels

/// What a shard of several variants has beside what every shard has; kept as JSON (docs/file-formats.md).
struct ShardVariants: Codable {
  /// Counts in the outputs of a segment.
  struct Counts: Codable {
    /// Index of the segment.
    let segment: Int
    /// Of all variants but the first.
    let others: [OutputCounts]
  }

  /// Of each variant.
  let digests: [Digest128]
  /// Of segments that have something to count.
  let counts: [Counts]

  /// nil for a shard of one variant.
  init?(_ shard: ShardRecord) {
    guard shard.digests.count > 1 else { return nil }
    digests = shard.digests
    counts = shard.segments.enumerated().filter { !$0.element.others.isEmpty }
      .map { Counts(segment: $0.offset, others: $0.element.others) }
  }

  /// Gives segments their counts.
  ///
  /// - Parameter digest: of all variants.
  /// - Returns: false where they do not belong together.
  func apply(to segments: inout [ShardRecord.Segment], digest: Digest128) -> Bool {
    guard digests.count > 1, Digest128(combining: digests) == digest else { return false }
    for counts in counts {
      guard segments.indices.contains(counts.segment), counts.others.count == digests.count - 1 else { return false }
      segments[counts.segment].others = counts.others
    }
    return true
  }
}
