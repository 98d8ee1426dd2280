/// Where the elements of a tensor lie that are not in the order of its shape: transposed, columns, expanded.
///
/// As in PyTorch, an element's place is the sum of its indices, each times the stride of its dimension.
public struct StridedLayout: Sendable, Equatable {
  /// Lengths of the dimensions, outermost first; none is 0.
  public let shape: [Int]
  /// Elements from one to the next in each dimension; 0 where all are the same.
  public let strides: [Int]
  /// Bytes.
  public let elementSize: Int

  /// Bytes that such a tensor may have, and may lie among: whoever is sent them has them in memory at a time.
  public static let limit = 256 << 20

  /// nil where the strides are none, or one of its sizes is above the limit.
  ///
  /// - Parameter shape: lengths, none negative.
  package init?(_ dtype: DType, shape: [Int], strides: [Int]) {
    guard dtype.bits >= 8, strides.count == shape.count, !shape.contains(0), strides.allSatisfy({ $0 >= 0 }),
      let bits = dtype.bitCount(ofShape: shape), bits / 8 <= Self.limit
    else { return nil }
    self.shape = shape
    self.strides = strides
    elementSize = dtype.bits / 8
    var last = 0
    for (length, stride) in zip(shape, strides) {
      let (step, overflows) = (length - 1).multipliedReportingOverflow(by: stride)
      guard !overflows, step <= Self.limit else { return nil }
      last += step
    }
    guard last < Self.limit / elementSize else { return nil }
  }

  /// Elements, in the order of the shape.
  public var count: Int { shape.reduce(1, *) }

  /// Bytes from the start of the first element to the end of the last.
  public var spanBytes: Int { span(of: 0..<count).upperBound }

  /// Bytes, from the first element's on, that some elements lie among, and perhaps others.
  public func span(of elements: Range<Int>) -> Range<Int> {
    guard !elements.isEmpty else { return 0..<0 }
    var (first, last) = (elements.lowerBound, elements.upperBound - 1)
    var (low, high) = (0, 0)
    var size = count
    var isFixed = true
    for (length, stride) in zip(shape, strides) {
      size /= length
      let (from, to) = (first / size, last / size)
      (first, last) = (first % size, last % size)
      // Behind the first dimension in which they differ, all indices may occur.
      low += isFixed ? from * stride : 0
      high += (isFixed ? to : length - 1) * stride
      isFixed = isFixed && from == to
    }
    return low * elementSize..<(high + 1) * elementSize
  }
}
