public import Digests
public import Kernels

/// A shard that was computed: the digest of its bytes, what was measured, and who did it.
public struct ShardRecord: Sendable, Equatable {
  /// What was measured on the part of one tensor that lies in the shard.
  public struct Segment: Sendable, Equatable {
    /// Of the plan's tensor pairs.
    public var pair: Int
    public var sums: DeltaSums
    /// What is counted in the outputs of all variants but the first; none where that is nothing.
    public var others: [OutputCounts]
    /// Bytes of a copied tensor in which the pair differs.
    public var differingBytes: UInt64

    public init(pair: Int, sums: DeltaSums, others: [OutputCounts] = [], differingBytes: UInt64) {
      self.pair = pair
      self.sums = sums
      self.others = others
      self.differingBytes = differingBytes
    }
  }

  /// Number in the plan, over all files.
  public var shard: Int
  /// Of its bytes in each variant.
  public var digests: [Digest128]
  /// Name of the worker.
  public var worker: String
  public var attempt: Int
  /// Of the coordinator that granted it.
  public var epoch: Int
  public var bytes: Int
  /// That it took.
  public var milliseconds: Int
  /// Milliseconds since 1970.
  public var finishedAt: Int
  public var segments: [Segment]

  public init(
    shard: Int, digests: [Digest128], worker: String, attempt: Int, epoch: Int, bytes: Int, milliseconds: Int,
    finishedAt: Int, segments: [Segment]
  ) {
    self.shard = shard
    self.digests = digests
    self.worker = worker
    self.attempt = attempt
    self.epoch = epoch
    self.bytes = bytes
    self.milliseconds = milliseconds
    self.finishedAt = finishedAt
    self.segments = segments
  }

  /// Of all variants.
  public var digest: Digest128 { Digest128(combining: digests) }

  /// Far more than a shard can have, and few enough for a value in SQLite.
  static let mostSegments = 1 << 22

  /// Whether reading it back would not be refused.
  var isPlausible: Bool {
    min(shard, attempt, epoch, bytes, milliseconds) >= 0 && !digests.isEmpty && segments.count <= Self.mostSegments
      && segments.allSatisfy { $0.pair >= 0 }
  }
}
