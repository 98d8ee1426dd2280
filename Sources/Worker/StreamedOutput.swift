import Diagnostics
import Planning
import Threads
import Wire

/// The output of one shard that is streamed (`ShardStream`): chunks that a slot fills, and the loop sends. The slot waits while many of
/// them are on their way, so that they stay few.
final class StreamedOutput: Sendable {
  struct Chunk: Sendable {
    /// Bytes of the shard's stream.
    let range: Range<Int>
    let memory: SliceMemory

    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: memory.bytes[..<range.count]) }
  }

  private struct State {
    /// Chunks that were begun and are not stored.
    var underWay = 0
    var isCancelled = false
  }

  private let state = Monitor(State())
  private let limit: Int

  /// - Parameter variants: of each of them a chunk is filled at a time.
  init(variants: Int) {
    limit = variants + 2
  }

  /// Waits until another chunk may be begun.
  func begin() throws(Failure) {
    let mayBegin = state.wait { state -> Bool? in
      if state.isCancelled { return false }
      guard state.underWay < limit else { return nil }
      state.underWay += 1
      return true
    }
    if !mayBegin { throw .cancelled }
  }

  func didStore() {
    state.update { $0.underWay -= 1 }
  }

  /// Ends all waiting.
  func cancel() {
    state.update { $0.isCancelled = true }
  }
}

/// Puts the blocks of a shard together to chunks of a streamed output. A slot's own.
final class StreamSink: ShardSink {
  private let output: StreamedOutput
  private let shard: Range<Int>
  private let stream: ShardStream
  private let pool: SliceMemoryPool
  private let send: (StreamedOutput.Chunk) -> Void
  /// Of each variant.
  private var current: [StreamedOutput.Chunk?]

  static let chunkSize = Limits.chunkBytes

  /// - Parameters:
  ///   - shard: bytes of the output file.
  ///   - blockSize: of the executor.
  init(
    _ output: StreamedOutput, shard: Range<Int>, variants: Int, blockSize: Int, pool: SliceMemoryPool,
    send: @escaping (StreamedOutput.Chunk) -> Void
  ) {
    self.output = output
    self.shard = shard
    stream = ShardStream(shardBytes: shard.count, variants: variants)
    current = Array(repeating: nil, count: variants)
    self.pool = pool
    self.send = send
    precondition(
      Self.chunkSize.isMultiple(of: blockSize) && ShardStream.stripeBytes.isMultiple(of: Self.chunkSize),
      "no block lies in two chunks, and no chunk in two stripes")
  }

  func memory(for range: Range<Int>, variant: Int) throws(Failure) -> UnsafeMutableRawBufferPointer? {
    let start = stream.position(of: range.lowerBound - shard.lowerBound, in: variant)
    let chunk: StreamedOutput.Chunk
    if let begun = current[variant] {
      chunk = begun
    } else {
      try output.begin()
      let bytes = start..<start + min(Self.chunkSize, stream.place(of: start).range.count)
      guard let memory = pool.take(bytes.count) else {
        throw Failure(
          .inputOutput,
          Problem(
            .outOfMemory, "there is no memory for the output of a shard", remedy: "use fewer --slots"))
      }
      chunk = .init(range: bytes, memory: memory)
      current[variant] = chunk
    }
    let place = start - chunk.range.lowerBound
    return UnsafeMutableRawBufferPointer(rebasing: chunk.memory.bytes[place..<place + range.count])
  }

  /// The block is in its place already.
  func write(_ block: UnsafeRawBufferPointer, at offset: Int, variant: Int) throws(Failure) {
    guard let chunk = current[variant] else { return }
    let end = stream.position(of: offset - shard.lowerBound, in: variant) + block.count
    guard end == chunk.range.upperBound else { return }
    current[variant] = nil
    send(chunk)
  }
}

extension Problem.Code {
  static let outOfMemory = Self("out-of-memory")
}
