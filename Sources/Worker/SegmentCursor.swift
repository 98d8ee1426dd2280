import Kernels
import Planning

/// Walks through the segments of a shard in parts that fit a block, and collects what comes of them.
struct SegmentCursor: ~Copyable {
  /// A stretch of one segment.
  struct Part {
    let output: Range<Int>
    let aligned: Segment.Source
    let sft: Segment.Source?
    /// 0 for a copy.
    let elements: Int
  }

  private let segments: [Segment]
  private let level: CPULevel
  private var results: [ShardResult.SegmentResult] = []
  private var index = 0
  /// Bytes of the segment's output that are done.
  private var done = 0
  private var elementRun: ElementRun?
  private var differingBytes: UInt64 = 0

  init(_ segments: [Segment], level: CPULevel) {
    self.segments = segments
    self.level = level
    results.reserveCapacity(segments.count)
  }

  /// The next part, which must then be run.
  ///
  /// - Parameter end: bytes of the output file; falls between two elements.
  mutating func next(upTo end: Int) -> Part {
    let segment = segments[index]
    let start = segment.output.lowerBound + done
    let range = start..<min(end, segment.output.upperBound)
    switch segment.action {
    case .copy:
      return Part(
        output: range, aligned: slice(segment.aligned, done, range.count),
        sft: segment.sft.map { slice($0, done, range.count) }, elements: 0)
    case .compute(let operation):
      if elementRun == nil { elementRun = ElementRun(operation, level: level) }
      let sizes = operation.sizes
      let (first, count) = (done / sizes.output, range.count / sizes.output)
      return Part(
        output: range, aligned: slice(segment.aligned, first * sizes.aligned, count * sizes.aligned),
        sft: segment.sft.map { slice($0, first * sizes.sft, count * sizes.sft) }, elements: count)
    }
  }

  private func slice(_ source: Segment.Source, _ offset: Int, _ count: Int) -> Segment.Source {
    let start = source.range.lowerBound + offset
    return .init(file: source.file, range: start..<start + count)
  }

  /// Computes the part that `next` gave.
  mutating func run(
    aligned: UnsafeRawBufferPointer, sft: UnsafeRawBufferPointer, output: UnsafeMutableRawBufferPointer, elements: Int
  ) throws(InputVanished) {
    let segment = segments[index]
    if elementRun != nil {
      try elementRun?.process(aligned: aligned, sft: sft, output: output, count: elements)
    } else {
      differingBytes += try copyBytes(of: aligned, comparedTo: segment.sft == nil ? nil : sft, to: output)
    }
    done += output.count
    guard done == segment.output.count else { return }
    results.append(
      .init(pair: segment.pair, sums: elementRun?.sums ?? DeltaSums(), differingBytes: differingBytes))
    index += 1
    (done, elementRun, differingBytes) = (0, nil, 0)
  }

  consuming func finish() -> [ShardResult.SegmentResult] {
    precondition(index == segments.count)
    return results
  }
}
