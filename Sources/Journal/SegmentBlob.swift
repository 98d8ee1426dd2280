import FoundationEssentials
import Kernels

/// Segments as a value in the database: a byte with the format's number, then 96 bytes for each (docs/file-formats.md).
enum SegmentBlob {
  static let format: UInt8 = 1
  static let stride = 96

  static func encode(_ segments: [ShardRecord.Segment]) -> Data {
    var bytes = Data(capacity: 1 + segments.count * stride)
    bytes.append(format)
    for segment in segments {
      let sums = segment.sums
      let words = (
        UInt64(bitPattern: Int64(segment.pair)).littleEndian, sums.deltaSquared.bitPattern.littleEndian,
        sums.alignedSquared.bitPattern.littleEndian, sums.sftSquared.bitPattern.littleEndian,
        sums.dot.bitPattern.littleEndian, sums.largestDelta.bitPattern.littleEndian, sums.elements.littleEndian,
        sums.unchanged.littleEndian, sums.nonFiniteInputs.littleEndian, sums.nonFiniteOutputs.littleEndian,
        sums.overflows.littleEndian, segment.differingBytes.littleEndian
      )
      withUnsafeBytes(of: words) { bytes.append(contentsOf: $0) }
    }
    return bytes
  }

  /// nil where this is not what `encode` gives.
  static func decode(_ bytes: Data) -> [ShardRecord.Segment]? {
    guard bytes.first == format, (bytes.count - 1).isMultiple(of: stride) else { return nil }
    return bytes.withUnsafeBytes { bytes in
      var segments: [ShardRecord.Segment] = []
      segments.reserveCapacity(bytes.count / stride)
      for start in Swift.stride(from: 1, to: bytes.count, by: stride) {
        func word(_ index: Int) -> UInt64 {
          UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: start + index * 8, as: UInt64.self))
        }
        guard let pair = Int(exactly: word(0)) else { return nil }
        var sums = DeltaSums()
        sums.deltaSquared = Double(bitPattern: word(1))
        sums.alignedSquared = Double(bitPattern: word(2))
        sums.sftSquared = Double(bitPattern: word(3))
        sums.dot = Double(bitPattern: word(4))
        sums.largestDelta = Double(bitPattern: word(5))
        sums.elements = word(6)
        sums.unchanged = word(7)
        sums.nonFiniteInputs = word(8)
        sums.nonFiniteOutputs = word(9)
        sums.overflows = word(10)
        segments.append(.init(pair: pair, sums: sums, differingBytes: word(11)))
      }
      return segments
    }
  }
}
