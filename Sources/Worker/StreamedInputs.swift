import Diagnostics
import Planning
import Synchronization
import Threads
import Wire
import ZeroMQ

/// The input slices of one shard that are streamed, in chunks.
///
/// The loop asks for them in the order in which the shard is computed and puts them in as they come; a slot waits for
/// each, computes from where it lies, and lets it go after its last use. So computing begins with the first chunks, and
/// few of them are in memory at a time.
///
/// Sound to send: what is not constant is behind a lock.
public final class StreamedInputs: Sendable {
  /// A range of an input file.
  struct Piece: Sendable, Equatable {
    let side: Side
    let file: Int
    let range: Range<Int>
  }

  /// Part of a piece.
  struct Chunk: Sendable, Equatable {
    let piece: Int
    /// Bytes of the input file.
    let range: Range<Int>
    /// Bytes of the output file that it is needed for.
    fileprivate(set) var use: Range<Int>
  }

  private struct State {
    /// By number of the chunk.
    var frames: [Frame?]
    var isCancelled = false
  }

  /// By side, file and place.
  let pieces: [Piece]
  /// In the order in which they are used first, which is their number.
  let chunks: [Chunk]
  /// The numbers of the chunks of each piece, by place.
  private let numbers: [[Int]]
  /// Numbers of chunks, in the order in which they are used last.
  private let byLastUse: [Int]
  private let state: Monitor<State>
  /// Chunks, from the first on, that the slot has come to.
  private let wanted = Atomic(0)
  /// Chunks of `byLastUse` that were let go.
  private let released = Atomic(0)
  private let didWant: @Sendable () -> Void

  static let chunkSize = Limits.chunkBytes
  /// Ranges closer together than this are fetched as one.
  private static let largestGap = 16 << 10

  /// - Parameters:
  ///   - segments: of the shard.
  ///   - isStreamed: whether the slices of an input file are.
  ///   - didWant: called by the slot when it has come to another chunk.
  /// - Returns: nil where nothing is streamed.
  init?(
    of segments: [Segment], didWant: @escaping @Sendable () -> Void = {}, isStreamed: (Side, Int) -> Bool
  ) {
    let slices = segments.flatMap(Slice.all).filter { !$0.range.isEmpty && isStreamed($0.side, $0.file) }
    guard !slices.isEmpty else { return nil }
    pieces = Self.pieces(of: slices.map { Piece(side: $0.side, file: $0.file, range: $0.range) })
    var byPiece = pieces.enumerated().map { number, piece in
      stride(from: piece.range.lowerBound, to: piece.range.upperBound, by: Self.chunkSize).map { start in
        Chunk(piece: number, range: start..<min(start + Self.chunkSize, piece.range.upperBound), use: .max..<Int.max)
      }
    }
    for slice in slices {
      let source = Segment.Source(file: slice.file, range: slice.range)
      guard let piece = Self.piece(slice.side, source, in: pieces) else { preconditionFailure("pieces cover all slices") }
      let start = pieces[piece].range.lowerBound
      for index in (slice.range.lowerBound - start) / Self.chunkSize...(slice.range.upperBound - 1 - start) / Self.chunkSize {
        let use = slice.use(of: byPiece[piece][index].range.clamped(to: slice.range))
        let known = byPiece[piece][index].use
        byPiece[piece][index].use =
          known.lowerBound == .max ? use : min(known.lowerBound, use.lowerBound)..<max(known.upperBound, use.upperBound)
      }
    }
    let places = byPiece.enumerated().flatMap { piece, chunks in chunks.indices.map { (piece: piece, index: $0) } }
      .sorted { byPiece[$0.piece][$0.index].use.lowerBound < byPiece[$1.piece][$1.index].use.lowerBound }
    var numbers = byPiece.map { [Int](repeating: 0, count: $0.count) }
    for (number, place) in places.enumerated() { numbers[place.piece][place.index] = number }
    let chunks = places.map { byPiece[$0.piece][$0.index] }
    self.numbers = numbers
    self.chunks = chunks
    byLastUse = chunks.indices.sorted { chunks[$0].use.upperBound < chunks[$1].use.upperBound }
    state = Monitor(State(frames: Array(repeating: nil, count: chunks.count)))
    self.didWant = didWant
  }

  private static func pieces(of slices: [Piece]) -> [Piece] {
    let slices = slices.sorted {
      ($0.side.rawValue, $0.file, $0.range.lowerBound) < ($1.side.rawValue, $1.file, $1.range.lowerBound)
    }
    var pieces: [Piece] = []
    for next in slices {
      if let last = pieces.last, last.side == next.side, last.file == next.file,
        next.range.lowerBound <= last.range.upperBound + largestGap
      {
        let end = max(last.range.upperBound, next.range.upperBound)
        pieces[pieces.count - 1] = Piece(side: last.side, file: last.file, range: last.range.lowerBound..<end)
      } else {
        pieces.append(next)
      }
    }
    return pieces
  }

  /// The piece that a slice lies in.
  private static func piece(_ side: Side, _ source: Segment.Source, in pieces: [Piece]) -> Int? {
    let index = pieces.partitioningIndex { piece in
      (piece.side.rawValue, piece.file, piece.range.upperBound) >= (side.rawValue, source.file, source.range.upperBound)
    }
    guard index < pieces.count else { return nil }
    let piece = pieces[index]
    let isInside = piece.side == side && piece.file == source.file && piece.range.lowerBound <= source.range.lowerBound
    return isInside ? index : nil
  }

  // MARK: the loop

  /// Chunks, from the first on, that the slot waits for or has used.
  var wantedCount: Int { wanted.load(ordering: .acquiring) }

  func put(_ frame: Frame, number: Int) {
    state.update { $0.frames[number] = frame }
  }

  /// Ends all waiting.
  func cancel() {
    state.update { $0.isCancelled = true }
  }

  // MARK: the slot

  /// A slice, where it lies in one chunk, or else put together in `scratch`. Waits until it is there.
  ///
  /// Valid until `release` has passed it, and until the next call with the same scratch.
  ///
  /// - Returns: nil where it is not part of the shard.
  /// - Throws: `cancelled`.
  func bytes(
    _ side: Side, _ source: Segment.Source, scratch: UnsafeMutableRawBufferPointer
  ) throws(Failure) -> UnsafeRawBufferPointer? {
    guard let piece = Self.piece(side, source, in: pieces) else { return nil }
    let start = source.range.lowerBound - pieces[piece].range.lowerBound
    let (first, last) = (start / Self.chunkSize, (start + source.range.count - 1) / Self.chunkSize)
    if first == last {
      let offset = start - first * Self.chunkSize
      let frame = try frame(numbers[piece][first])
      return frame.withBytes { UnsafeRawBufferPointer(rebasing: $0[offset..<offset + source.range.count]) }
    }
    for index in first...last {
      let number = numbers[piece][index]
      let part = chunks[number].range.clamped(to: source.range)
      let target = part.lowerBound - source.range.lowerBound..<part.upperBound - source.range.lowerBound
      let offset = part.lowerBound - chunks[number].range.lowerBound
      try frame(number).withBytes {
        UnsafeMutableRawBufferPointer(rebasing: scratch[target])
          .copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[offset..<offset + part.count]))
      }
    }
    return UnsafeRawBufferPointer(rebasing: scratch[..<source.range.count])
  }

  /// Lets go what is not needed from a place of the output file on.
  func release(before offset: Int) {
    let first = released.load(ordering: .relaxed)
    var end = first
    while end < byLastUse.count, chunks[byLastUse[end]].use.upperBound <= offset { end += 1 }
    guard end > first else { return }
    released.store(end, ordering: .relaxed)
    // The frames are freed outside of the lock.
    let done = state.update(waking: .nobody) { state in
      byLastUse[first..<end].map { number in
        defer { state.frames[number] = nil }
        return state.frames[number]
      }
    }
    withExtendedLifetime(done) {}
  }

  private func frame(_ number: Int) throws(Failure) -> Frame {
    if wanted.load(ordering: .relaxed) <= number {
      wanted.store(number + 1, ordering: .releasing)
      didWant()
    }
    let frame = state.wait { state -> Frame?? in
      if state.isCancelled { return .some(nil) }
      return state.frames[number].map { .some($0) }
    }
    guard let frame else { throw .cancelled }
    return frame
  }
}

extension Failure {
  /// A slot waited for something that is not wanted any more.
  static var cancelled: Failure { Failure(.interrupted, Problem(.cancelled, "the shard was taken back")) }
}

extension Problem.Code {
  static let cancelled = Self("cancelled")
}
