public import Kernels

/// The part of one tensor that lies in a shard and is treated in one way.
public struct Segment: Sendable, Equatable {
  public enum Action: Sendable, Equatable {
    /// Computes elements; `sft` is nil for a mere conversion.
    case compute(ElementOperation)
    /// Copies bytes, comparing them with those of sft.
    case copy
  }

  /// Index into the plan's pairs.
  public let pair: Int
  public let action: Action
  /// Bytes of the output file.
  public let output: Range<Int>
  public let aligned: Source
  /// nil where sft is not read.
  public let sft: Source?
}

extension Plan {
  /// What a shard holds behind the header, in order and without gaps. Those of variants differ in their alphas only.
  public func segments(of shard: Shard, variant: Int = 0) -> [Segment] {
    let file = files[shard.file]
    var segments: [Segment] = []
    var index = file.ranges.partitioningIndex { $0.upperBound > shard.range.lowerBound }
    while index < file.ranges.count, file.ranges[index].lowerBound < shard.range.upperBound {
      let part = file.ranges[index].clamped(to: shard.range)
      if !part.isEmpty { append(part, of: file.pairs[index], at: file.ranges[index].lowerBound, variant, to: &segments) }
      index += 1
    }
    return segments
  }

  /// - Parameters:
  ///   - part: bytes of the output file.
  ///   - start: where the tensor starts in the output file.
  private func append(_ part: Range<Int>, of index: Int, at start: Int, _ variant: Int, to segments: inout [Segment]) {
    let pair = pairs[index]
    switch pair.treatment {
    case .copy:
      let bytes = part.lowerBound - start..<part.upperBound - start
      segments.append(
        Segment(
          pair: index, action: .copy, output: part, aligned: pair.aligned.source.bytes(bytes).narrowed,
          sft: pair.sft.source.bytes(bytes).narrowed))
    case .extrapolate, .keep:
      let common = if case .extrapolate(let elements) = pair.treatment { elements } else { 0 }
      guard let aligned = pair.aligned.format, let sft = pair.sft.format,
        let output = pair.dtype.floatFormat
      else { preconditionFailure("only floats are extrapolated") }
      // Shards start on multiples of every element's size, so no element is cut.
      let elements = (part.lowerBound - start) / output.size..<(part.upperBound - start) / output.size
      let computed = elements.clamped(to: 0..<common)
      if !computed.isEmpty {
        segments.append(
          Segment(
            pair: index,
            action: .compute(
              .extrapolate(
                alpha: alpha(of: pair, in: variant), arithmetic: recipe.arithmetic, aligned: aligned, sft: sft, output: output)),
            output: outputRange(computed, size: output.size, at: start),
            aligned: pair.aligned.source.elements(computed, size: aligned.size).narrowed,
            sft: pair.sft.source.elements(computed, size: sft.size).narrowed))
      }
      let taken = elements.clamped(to: common..<max(common, elements.upperBound))
      if !taken.isEmpty {
        let isCopied = aligned == output && pair.aligned.scales == nil
        segments.append(
          Segment(
            pair: index, action: isCopied ? .copy : .compute(.convert(aligned: aligned, output: output)),
            output: outputRange(taken, size: output.size, at: start),
            aligned: pair.aligned.source.elements(taken, size: aligned.size).narrowed, sft: nil))
      }
    }
  }

  private func outputRange(_ elements: Range<Int>, size: Int, at start: Int) -> Range<Int> {
    start + elements.lowerBound * size..<start + elements.upperBound * size
  }
}
