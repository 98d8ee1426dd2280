import Planning
import Wire

/// The input slices of one shard that are streamed, in memory of their own.
public final class StagedShard: Sendable {
  /// A range of an input file, and where it lies in the memory.
  struct Piece: Sendable, Equatable {
    let side: Side
    let file: Int
    let range: Range<Int>
    let offset: Int
  }

  /// By side, file and place.
  let pieces: [Piece]
  private let memory: SliceMemory

  /// Ranges closer together than this are fetched as one.
  private static let largestGap = 16 << 10

  init(pieces: [Piece], memory: SliceMemory) {
    self.pieces = pieces
    self.memory = memory
  }

  /// What must be fetched for a shard.
  ///
  /// - Parameter isStreamed: whether the slices of an input file are.
  static func pieces(of segments: [Segment], isStreamed: (Side, Int) -> Bool) -> [Piece] {
    var ranges: [(side: Side, file: Int, range: Range<Int>)] = []
    for segment in segments {
      if isStreamed(.aligned, segment.aligned.file) {
        ranges.append((.aligned, segment.aligned.file, segment.aligned.range))
      }
      if let sft = segment.sft, isStreamed(.sft, sft.file) { ranges.append((.sft, sft.file, sft.range)) }
    }
    ranges.sort { ($0.side.rawValue, $0.file, $0.range.lowerBound) < ($1.side.rawValue, $1.file, $1.range.lowerBound) }
    var pieces: [Piece] = []
    for next in ranges where !next.range.isEmpty {
      if let last = pieces.last, last.side == next.side, last.file == next.file,
        next.range.lowerBound <= last.range.upperBound + largestGap
      {
        pieces[pieces.count - 1] = Piece(
          side: last.side, file: last.file,
          range: last.range.lowerBound..<max(last.range.upperBound, next.range.upperBound), offset: last.offset)
      } else {
        // Aligned, so that elements are.
        let end = pieces.last.map { $0.offset + $0.range.count } ?? 0
        pieces.append(
          Piece(side: next.side, file: next.file, range: next.range, offset: (end + 63) / 64 * 64 + next.range.lowerBound % 64))
      }
    }
    return pieces
  }

  /// Bytes of memory that pieces take.
  static func size(of pieces: [Piece]) -> Int { pieces.last.map { $0.offset + $0.range.count } ?? 0 }

  /// A slice; nil where it is not part of the shard.
  func bytes(_ side: Side, _ source: Segment.Source) -> UnsafeRawBufferPointer? {
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
    guard piece.side == side, piece.file == source.file, piece.range.lowerBound <= source.range.lowerBound,
      source.range.upperBound <= piece.range.upperBound
    else { return nil }
    let start = piece.offset + source.range.lowerBound - piece.range.lowerBound
    return UnsafeRawBufferPointer(rebasing: memory.bytes[start..<start + source.range.count])
  }

  /// Where bytes of the memory are received.
  func destination(_ range: Range<Int>) -> UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(rebasing: memory.bytes[range])
  }
}
