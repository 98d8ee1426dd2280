import Diagnostics

/// Keeps a shard's output in memory, and tells how far it has come, so that it can leave while the rest is computed.
struct StreamSink: ShardSink {
  let memory: SliceMemory
  /// Where the shard starts in the output file.
  let start: Int
  /// Told the bytes that are there.
  let didWrite: @Sendable (Int) -> Void

  func write(_ block: UnsafeRawBufferPointer, at offset: Int) throws(Failure) {
    let range = offset - start..<offset - start + block.count
    UnsafeMutableRawBufferPointer(rebasing: memory.bytes[range]).copyMemory(from: block)
    didWrite(range.upperBound)
  }
}
