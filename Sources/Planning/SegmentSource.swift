public import Checkpoint

extension Segment {
  /// Elements of a tensor of an input, and what of a file has to be read for them.
  public struct Source: Sendable, Equatable {
    public let file: Int
    /// Bytes of that file.
    public let range: Range<Int>
    /// nil where the bytes are the elements in their order.
    public let gathering: Gathering?
    /// nil where the elements are what is computed with.
    public let scaling: Scaling?

    public init(file: Int, range: Range<Int>, gathering: Gathering? = nil, scaling: Scaling? = nil) {
      self.file = file
      self.range = range
      self.gathering = gathering
      self.scaling = scaling
    }

    /// Some of its elements.
    ///
    /// - Parameter size: bytes of an element, once it is not quantised any more.
    public func elements(_ part: Range<Int>, size: Int) -> Source {
      let scaling = scaling?.elements(part)
      if let gathering { return .init(file: file, range: range, gathering: gathering.elements(part), scaling: scaling) }
      let size = scaling == nil ? size : 1
      let start = range.lowerBound
      return .init(file: file, range: start + part.lowerBound * size..<start + part.upperBound * size, scaling: scaling)
    }

    /// The elements that some of its bytes are, once they are in their order.
    public func bytes(_ part: Range<Int>) -> Source {
      let size = gathering?.layout.elementSize ?? 1
      return elements(part.lowerBound / size..<part.upperBound / size, size: size)
    }

    /// The same elements, with no more to read than they lie among.
    ///
    /// Parts of a source are not narrowed, so that what all of them lie among is read once.
    public var narrowed: Source {
      guard let gathering else { return self }
      let span = gathering.layout.span(of: gathering.elements)
      let range = gathering.start + span.lowerBound..<gathering.start + span.upperBound
      return .init(file: file, range: range, gathering: gathering, scaling: scaling)
    }
  }

  /// Elements that are put in order before anything else is done with them.
  public struct Gathering: Sendable, Equatable {
    public let layout: StridedLayout
    /// Where the tensor's first element lies in the file.
    public let start: Int
    /// Of the tensor, in the order of its shape.
    public let elements: Range<Int>

    func elements(_ part: Range<Int>) -> Gathering {
      .init(layout: layout, start: start, elements: part.moved(by: elements.lowerBound))
    }
  }

  /// Scales that elements of a matrix in F8_E4M3 are multiplied by before anything is computed.
  public struct Scaling: Sendable, Equatable {
    public let scales: BlockScales
    /// Of the matrix.
    public let elements: Range<Int>

    /// Where the scales are that the elements need.
    public var source: Source { .init(file: scales.file, range: scales.range(of: elements)) }

    func elements(_ part: Range<Int>) -> Scaling {
      .init(scales: scales, elements: part.moved(by: elements.lowerBound))
    }
  }
}

extension Range<Int> {
  fileprivate func moved(by distance: Int) -> Range<Int> { lowerBound + distance..<upperBound + distance }
}

extension TensorPair.Place {
  /// All of the tensor.
  public var source: Segment.Source {
    let all = 0..<elementCount
    return .init(
      file: file, range: range, gathering: layout.map { .init(layout: $0, start: range.lowerBound, elements: all) },
      scaling: scales.map { .init(scales: $0, elements: all) })
  }
}
