import Planning
import Wire
import ZeroMQ

/// The input slices of one shard that are streamed: the chunks as they came, which nobody copies.
///
/// Sound to send: the loop fills it, and hands it to a slot when it is complete.
public final class StagedShard: @unchecked Sendable {
  /// A range of an input file.
  struct Piece: Sendable, Equatable {
    let side: Side
    let file: Int
    let range: Range<Int>
  }

  /// By side, file and place.
  let pieces: [Piece]
  /// By piece; each chunk but the last of a piece has `chunkSize` bytes.
  private var chunks: [[Frame?]]

  static let chunkSize = 1 << 20
  /// Ranges closer together than this are fetched as one.
  private static let largestGap = 16 << 10

  init(pieces: [Piece]) {
    self.pieces = pieces
    chunks = pieces.map { Array(repeating: nil, count: ($0.range.count + Self.chunkSize - 1) / Self.chunkSize) }
  }

  /// What must be fetched for a shard.
  ///
  /// - Parameter isStreamed: whether the slices of an input file are.
  static func pieces(of segments: [Segment], isStreamed: (Side, Int) -> Bool) -> [Piece] {
    var ranges: [Piece] = []
    for segment in segments {
      if isStreamed(.aligned, segment.aligned.file) {
        ranges.append(Piece(side: .aligned, file: segment.aligned.file, range: segment.aligned.range))
      }
      if let sft = segment.sft, isStreamed(.sft, sft.file) {
        ranges.append(Piece(side: .sft, file: sft.file, range: sft.range))
      }
    }
    ranges.sort { ($0.side.rawValue, $0.file, $0.range.lowerBound) < ($1.side.rawValue, $1.file, $1.range.lowerBound) }
    var pieces: [Piece] = []
    for next in ranges where !next.range.isEmpty {
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

  func set(_ chunk: Frame, piece: Int, index: Int) {
    chunks[piece][index] = chunk
  }

  /// A slice, where it lies in one chunk, or else put together in `scratch`; nil where it is not part of the shard.
  ///
  /// Valid while the shard is kept, and until the next call with the same scratch.
  func bytes(
    _ side: Side, _ source: Segment.Source, scratch: UnsafeMutableRawBufferPointer
  ) -> UnsafeRawBufferPointer? {
    guard let index = piece(side, source) else { return nil }
    let start = source.range.lowerBound - pieces[index].range.lowerBound
    let range = start..<start + source.range.count
    let (first, last) = (range.lowerBound / Self.chunkSize, (range.upperBound - 1) / Self.chunkSize)
    if first == last {
      let offset = range.lowerBound - first * Self.chunkSize
      return chunks[index][first]?.withBytes { UnsafeRawBufferPointer(rebasing: $0[offset..<offset + range.count]) }
    }
    for number in first...last {
      guard let chunk = chunks[index][number] else { return nil }
      let begin = number * Self.chunkSize
      let part = range.clamped(to: begin..<begin + chunk.count)
      chunk.withBytes { bytes in
        UnsafeMutableRawBufferPointer(rebasing: scratch[part.lowerBound - range.lowerBound..<part.upperBound - range.lowerBound])
          .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[part.lowerBound - begin..<part.upperBound - begin]))
      }
    }
    return UnsafeRawBufferPointer(rebasing: scratch[..<range.count])
  }

  /// The piece that a slice lies in.
  private func piece(_ side: Side, _ source: Segment.Source) -> Int? {
    var (low, high) = (0, pieces.count)
    while low < high {
      let middle = (low + high) / 2
      let piece = pieces[middle]
      let isBefore =
        (piece.side.rawValue, piece.file) != (side.rawValue, source.file)
        ? (piece.side.rawValue, piece.file) < (side.rawValue, source.file)
        : piece.range.upperBound < source.range.upperBound
      if isBefore { low = middle + 1 } else { high = middle }
    }
    guard low < pieces.count else { return nil }
    let piece = pieces[low]
    let isInside =
      piece.side == side && piece.file == source.file && piece.range.lowerBound <= source.range.lowerBound
      && source.range.upperBound <= piece.range.upperBound
    return isInside ? low : nil
  }
}
