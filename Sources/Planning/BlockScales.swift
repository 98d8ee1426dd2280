import Checkpoint
public import Kernels

/// A block of a matrix: what one scale is for.
public struct BlockSize: Sendable, Equatable, CustomStringConvertible {
  public let rows: Int
  public let columns: Int

  public static let limits = 1...65_536

  /// nil where one of them is out of bounds.
  public init?(rows: Int, columns: Int) {
    guard Self.limits.contains(rows), Self.limits.contains(columns) else { return nil }
    self.rows = rows
    self.columns = columns
  }

  public var description: String { "\(rows)x\(columns)" }

  /// How elements are kept, in words.
  static func encoding(_ dtype: DType, _ block: BlockSize?) -> String { dtype.rawValue + (block.map { " x \($0) scales" } ?? "") }

  /// How many blocks cover a matrix, down and across.
  func grid(over shape: [Int]) -> [Int] {
    zip(shape, [rows, columns]).map { length, step in length / step + (length % step == 0 ? 0 : 1) }
  }
}

/// The scales of a matrix whose weights mean nothing without them: weight · scale of its block.
public struct BlockScales: Sendable, Equatable {
  /// Index into the checkpoint's files.
  public let file: Int
  /// Bytes of that file: a scale for each block, by rows of blocks.
  public let range: Range<Int>
  public let format: FloatFormat
  public let block: BlockSize
  /// Of the matrix.
  public let rows: Int
  public let columns: Int
  /// What the products are rounded to: F32, or for reference arithmetic the BF16 that the checkpoint is converted to.
  public let product: FloatFormat

  /// Elements of a row of blocks.
  private var stripe: Int { min(block.rows, rows) * columns }
  /// Bytes of the scales of a row of blocks.
  private var stride: Int { block.grid(over: [rows, columns])[1] * format.size }

  /// Bytes of the scales that elements of the matrix need: those of all blocks in their rows.
  public func range(of elements: Range<Int>) -> Range<Int> {
    guard !elements.isEmpty else { return range.lowerBound..<range.lowerBound }
    let (first, last) = (elements.lowerBound / stripe, (elements.upperBound - 1) / stripe)
    return range.lowerBound + first * stride..<range.lowerBound + (last + 1) * stride
  }

  /// Elements of the matrix that may need some of the scales' bytes; the last may be beyond it.
  public func elements(using bytes: Range<Int>) -> Range<Int> {
    let (start, end) = (bytes.lowerBound - range.lowerBound, bytes.upperBound - range.lowerBound)
    return start / stride * stripe..<(end + stride - 1) / stride * stripe
  }

  /// An element's place, counted from the start of the first row of blocks whose scales `range(of:)` gives.
  public func place(of element: Int) -> Int { element % stripe }
}
