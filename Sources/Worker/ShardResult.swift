public import Diagnostics
public import Digests
public import Kernels

/// What a computed shard reports.
public struct ShardResult: Sendable, Equatable {
  /// What came of one segment.
  public struct SegmentResult: Sendable, Equatable {
    /// Index into the plan's pairs.
    public let pair: Int
    /// Empty for a copied segment. What is counted in the output is of the first variant.
    public var sums = DeltaSums()
    /// Of the other variants; none where there is nothing to count.
    public var others: [OutputCounts] = []
    /// Bytes of a copied segment in which sft differs from aligned.
    public var differingBytes: UInt64 = 0

    public init(pair: Int, sums: DeltaSums = DeltaSums(), others: [OutputCounts] = [], differingBytes: UInt64 = 0) {
      self.pair = pair
      self.sums = sums
      self.others = others
      self.differingBytes = differingBytes
    }

    /// As a merge with one variant alone has them.
    public func sums(of variant: Int) -> DeltaSums {
      var sums = sums
      if variant > 0 { sums.outputCounts = others.isEmpty ? OutputCounts() : others[variant - 1] }
      return sums
    }
  }

  /// The shard's number.
  public let shard: Int
  /// Of the shard's bytes in each variant.
  public let digests: [Digest128]
  /// In the order of the plan.
  public let segments: [SegmentResult]

  public init(shard: Int, digests: [Digest128], segments: [SegmentResult]) {
    self.shard = shard
    self.digests = digests
    self.segments = segments
  }

  /// Of all variants.
  public var digest: Digest128 { Digest128(combining: digests) }
}

/// Where a shard's bytes go, block by block and in order; of each block those of the first variant come first.
public protocol ShardSink {
  /// Memory to compute a block in, which `write` is then called with; nil where the executor's own will do.
  func memory(for range: Range<Int>, variant: Int) throws(Failure) -> UnsafeMutableRawBufferPointer?

  /// - Parameter offset: bytes from the start of the output file.
  func write(_ block: UnsafeRawBufferPointer, at offset: Int, variant: Int) throws(Failure)
}

extension ShardSink {
  public func memory(for range: Range<Int>, variant: Int) throws(Failure) -> UnsafeMutableRawBufferPointer? { nil }
}
