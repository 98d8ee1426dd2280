public import Kernels

/// The part of one tensor that lies in a shard and is treated in one way.
public struct Segment: Sendable, Equatable {
  public enum Action: Sendable, Equatable {
    /// Computes elements; `sft` is nil for a mere conversion.
    case compute(ElementOperation)
    /// Copies bytes, comparing them with those of sft.
    case copy
  }

  /// A range of bytes in a file of an input.
  public struct Source: Sendable, Equatable {
    public let file: Int
    public let range: Range<Int>
    /// nil where the bytes are what is computed with.
    public let scaling: Scaling?

    public init(file: Int, range: Range<Int>, scaling: Scaling? = nil) {
      self.file = file
      self.range = range
      self.scaling = scaling
    }

    /// Some of its elements.
    ///
    /// - Parameter size: bytes of an element, once it is not quantised any more.
    public func elements(_ part: Range<Int>, size: Int) -> Source {
      let size = scaling == nil ? size : 1
      return bytes(part.lowerBound * size..<part.upperBound * size, scaling: scaling?.elements(part))
    }

    /// Some of its bytes.
    public func bytes(_ part: Range<Int>) -> Source { bytes(part, scaling: nil) }

    private func bytes(_ part: Range<Int>, scaling: Scaling?) -> Source {
      .init(file: file, range: range.lowerBound + part.lowerBound..<range.lowerBound + part.upperBound, scaling: scaling)
    }
  }

  /// Scales that bytes of a matrix in F8_E4M3 are multiplied by, before anything is computed.
  public struct Scaling: Sendable, Equatable {
    public let scales: BlockScales
    /// Of the matrix.
    public let elements: Range<Int>

    /// Where the scales are that the elements need.
    public var source: Source { .init(file: scales.file, range: scales.range(of: elements)) }

    func elements(_ part: Range<Int>) -> Scaling {
      .init(scales: scales, elements: elements.lowerBound + part.lowerBound..<elements.lowerBound + part.upperBound)
    }
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
          pair: index, action: .copy, output: part, aligned: pair.aligned.source.bytes(bytes),
          sft: pair.sft.source.bytes(bytes)))
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
            aligned: pair.aligned.source.elements(computed, size: aligned.size),
            sft: pair.sft.source.elements(computed, size: sft.size)))
      }
      let taken = elements.clamped(to: common..<max(common, elements.upperBound))
      if !taken.isEmpty {
        let isCopied = aligned == output && pair.aligned.scales == nil
        segments.append(
          Segment(
            pair: index, action: isCopied ? .copy : .compute(.convert(aligned: aligned, output: output)),
            output: outputRange(taken, size: output.size, at: start),
            aligned: pair.aligned.source.elements(taken, size: aligned.size), sft: nil))
      }
    }
  }

  private func outputRange(_ elements: Range<Int>, size: Int, at start: Int) -> Range<Int> {
    start + elements.lowerBound * size..<start + elements.upperBound * size
  }
}

extension TensorPair.Place {
  /// All of the tensor.
  public var source: Segment.Source {
    .init(file: file, range: range, scaling: scales.map { .init(scales: $0, elements: 0..<range.count) })
  }
}
