import Diagnostics

/// Keeps a shard's output in memory, and tells how far it has come, so that it can leave while the rest is computed.
struct StreamSink: ShardSink {
  let output: SliceMemory
  /// Where the shard starts in the output file.
  let start: Int
  /// Told the bytes that are there.
  let didWrite: @Sendable (Int) -> Void

  func memory(for range: Range<Int>) -> UnsafeMutableRawBufferPointer? {
    UnsafeMutableRawBufferPointer(rebasing: output.bytes[range.lowerBound - start..<range.upperBound - start])
  }

  /// The block is in its place already.
  func write(_ block: UnsafeRawBufferPointer, at offset: Int) throws(Failure) {
    didWrite(offset - start + block.count)
  }
}
