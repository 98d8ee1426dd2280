import Kernels
import Planning

/// Walks through the segments of a shard, in all variants at once, in parts that fit a block, and collects what comes of
/// them.
struct SegmentCursor: ~Copyable {
  /// A stretch of one segment.
  struct Part {
    let output: Range<Int>
    let aligned: Segment.Source
    let sft: Segment.Source?
    /// 0 for a copy.
    let elements: Int
  }

  /// Of each variant.
  private let variants: [[Segment]]
  private let level: CPULevel
  private var results: [ShardResult.SegmentResult] = []
  private var index = 0
  /// Bytes of the segment's output that are done.
  private var done = 0
  /// Of each variant; none for a copy.
  private var runs: [ElementRun] = []
  private var differingBytes: UInt64 = 0

  /// - Parameter variants: the segments of each, which differ in their alphas only.
  init(_ variants: [[Segment]], level: CPULevel) {
    self.variants = variants
    self.level = level
    results.reserveCapacity(variants[0].count)
  }

  private var segment: Segment { variants[0][index] }

  /// The next part, which must then be run for each variant, and advanced over.
  ///
  /// - Parameter end: bytes of the output file; falls between two elements.
  mutating func next(upTo end: Int) -> Part {
    let segment = segment
    let start = segment.output.lowerBound + done
    let range = start..<min(end, segment.output.upperBound)
    switch segment.action {
    case .copy:
      return Part(
        output: range, aligned: segment.aligned.bytes(done..<done + range.count),
        sft: segment.sft?.bytes(done..<done + range.count), elements: 0)
    case .compute(let operation):
      if runs.isEmpty {
        for segments in variants {
          guard case .compute(let operation) = segments[index].action else { preconditionFailure("they differ in alpha only") }
          // What is measured on the inputs is the same for all.
          runs.append(ElementRun(operation, level: level, countsOnly: !runs.isEmpty))
        }
      }
      let sizes = operation.sizes
      let part = done / sizes.output..<(done + range.count) / sizes.output
      return Part(
        output: range, aligned: segment.aligned.elements(part, size: sizes.aligned),
        sft: segment.sft?.elements(part, size: sizes.sft), elements: part.count)
    }
  }

  /// Computes the part that `next` gave.
  mutating func run(
    variant: Int, aligned: UnsafeRawBufferPointer, sft: UnsafeRawBufferPointer, output: UnsafeMutableRawBufferPointer, elements: Int
  ) throws(InputVanished) {
    if !runs.isEmpty {
      try runs[variant].process(aligned: aligned, sft: sft, output: output, count: elements)
    } else {
      // All variants have the same bytes here.
      let differing = try copyBytes(of: aligned, comparedTo: segment.sft == nil || variant > 0 ? nil : sft, to: output)
      differingBytes += variant == 0 ? differing : 0
    }
  }

  /// The part was run for all variants.
  mutating func advance(over part: Part) {
    done += part.output.count
    guard done == segment.output.count else { return }
    let others = runs.dropFirst().map(\.sums.outputCounts)
    results.append(
      .init(
        pair: segment.pair, sums: runs.first?.sums ?? DeltaSums(), others: others.contains { $0 != OutputCounts() } ? others : [],
        differingBytes: differingBytes))
    index += 1
    (done, runs, differingBytes) = (0, [], 0)
  }

  consuming func finish() -> [ShardResult.SegmentResult] {
    precondition(index == variants[0].count)
    return results
  }
}
