public import Diagnostics
public import Digests
public import Kernels

/// What a computed shard reports.
public struct ShardResult: Sendable, Equatable {
  /// What came of one segment.
  public struct SegmentResult: Sendable, Equatable {
    /// Index into the plan's pairs.
    public let pair: Int
    /// Empty for a copied segment.
    public var sums = DeltaSums()
    /// Bytes of a copied segment in which sft differs from aligned.
    public var differingBytes: UInt64 = 0

    public init(pair: Int, sums: DeltaSums = DeltaSums(), differingBytes: UInt64 = 0) {
      self.pair = pair
      self.sums = sums
      self.differingBytes = differingBytes
    }
  }

  /// The shard's number.
  public let shard: Int
  /// Of the shard's bytes.
  public let digest: Digest128
  /// In the order of the plan.
  public let segments: [SegmentResult]

  public init(shard: Int, digest: Digest128, segments: [SegmentResult]) {
    self.shard = shard
    self.digest = digest
    self.segments = segments
  }
}

/// Where a shard's bytes go, block by block and in order.
public protocol ShardSink {
  /// Memory to compute a block in, which `write` is then called with; nil where the executor's own will do.
  func memory(for range: Range<Int>) throws(Failure) -> UnsafeMutableRawBufferPointer?

  /// - Parameter offset: bytes from the start of the output file.
  func write(_ block: UnsafeRawBufferPointer, at offset: Int) throws(Failure)
}

extension ShardSink {
  public func memory(for range: Range<Int>) throws(Failure) -> UnsafeMutableRawBufferPointer? { nil }
}
