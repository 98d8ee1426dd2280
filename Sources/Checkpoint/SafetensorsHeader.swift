/// The header of a safetensors file: which tensors it holds, and where.
///
/// A file is an unsigned 64-bit little-endian length, as many bytes of JSON, and the data
/// (https://github.com/huggingface/safetensors#format).
public struct SafetensorsHeader: Sendable, Equatable {
  public struct Tensor: Sendable, Equatable {
    public let name: String
    public let dtype: DType
    /// Lengths of the dimensions, outermost first; empty for a scalar.
    public let shape: [Int]
    /// Bytes, counted from the start of the data.
    public let range: Range<Int>

    public init(name: String, dtype: DType, shape: [Int], range: Range<Int>) {
      self.name = name
      self.dtype = dtype
      self.shape = shape
      self.range = range
    }

    /// The product of the dimensions; the byte range, which is as long, has been checked.
    public var elementCount: Int { shape.reduce(1, *) }
  }

  /// In the order of their data.
  public let tensors: [Tensor]
  public let metadata: [String: String]
  /// Where the data start in the file: 8 + the length of the JSON.
  public let dataStart: Int
  /// Bytes of the whole file.
  public let fileSize: Int

  public init(tensors: [Tensor], metadata: [String: String], dataStart: Int, fileSize: Int) {
    self.tensors = tensors
    self.metadata = metadata
    self.dataStart = dataStart
    self.fileSize = fileSize
  }

  /// The largest JSON that the reference reader takes.
  public static let lengthLimit = 100_000_000
}
