import Diagnostics
import Planning
import Threads
import Wire

/// The output of one shard that is streamed: chunks that a slot fills, and the loop sends. The slot waits while many of
/// them are on their way, so that they stay few.
final class StreamedOutput: Sendable {
  struct Chunk: Sendable {
    /// From the start of the shard.
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

  private static let limit = 3

  /// Waits until another chunk may be begun.
  func begin() throws(Failure) {
    let mayBegin = state.wait { state -> Bool? in
      if state.isCancelled { return false }
      guard state.underWay < Self.limit else { return nil }
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
  private let pool: SliceMemoryPool
  private let send: (StreamedOutput.Chunk) -> Void
  private var current: StreamedOutput.Chunk?

  static let chunkSize = Limits.chunkBytes

  /// - Parameters:
  ///   - shard: bytes of the output file.
  ///   - blockSize: of the executor.
  init(
    _ output: StreamedOutput, shard: Range<Int>, blockSize: Int, pool: SliceMemoryPool,
    send: @escaping (StreamedOutput.Chunk) -> Void
  ) {
    self.output = output
    self.shard = shard
    self.pool = pool
    self.send = send
    precondition(Self.chunkSize.isMultiple(of: blockSize), "no block lies in two chunks")
  }

  func memory(for range: Range<Int>) throws(Failure) -> UnsafeMutableRawBufferPointer? {
    let start = range.lowerBound - shard.lowerBound
    let chunk: StreamedOutput.Chunk
    if let current {
      chunk = current
    } else {
      try output.begin()
      let bytes = start..<min(start + Self.chunkSize, shard.count)
      guard let memory = pool.take(bytes.count) else {
        throw Failure(
          .inputOutput,
          Problem(
            .outOfMemory, "there is no memory for the output of a shard", remedy: "use fewer --slots"))
      }
      chunk = .init(range: bytes, memory: memory)
      current = chunk
    }
    let place = start - chunk.range.lowerBound
    return UnsafeMutableRawBufferPointer(rebasing: chunk.memory.bytes[place..<place + range.count])
  }

  /// The block is in its place already.
  func write(_ block: UnsafeRawBufferPointer, at offset: Int) throws(Failure) {
    guard let chunk = current, offset + block.count == shard.lowerBound + chunk.range.upperBound else { return }
    current = nil
    send(chunk)
  }
}

extension Problem.Code {
  static let outOfMemory = Self("out-of-memory")
}
