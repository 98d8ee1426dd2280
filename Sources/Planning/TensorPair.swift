public import Checkpoint
public import Kernels

/// A tensor of the output, and what it is made from.
public struct TensorPair: Sendable, Equatable {
  /// A tensor in a file of one of the inputs.
  public struct Place: Sendable, Equatable {
    /// Index into the checkpoint's files.
    public let file: Int
    /// Bytes of that file.
    public let range: Range<Int>
    public let dtype: DType
    /// nil where the elements are what they are.
    public let scales: BlockScales?
    /// nil where the bytes are the elements in their order.
    public let layout: StridedLayout?
    /// Of the tensor.
    let elementCount: Int

    init(_ tensor: Checkpoint.Tensor, scales: BlockScales? = nil) {
      file = tensor.file
      range = tensor.range
      dtype = tensor.dtype
      self.scales = scales
      layout = tensor.layout
      elementCount = tensor.elementCount
    }

    /// What is computed with; nil for what is copied.
    public var format: FloatFormat? { scales?.product ?? dtype.floatFormat }

    /// Of the output, where no other is asked for: BF16 for what is dequantised.
    var plainDType: DType { scales == nil ? dtype : .bf16 }

    /// Bytes read, scales included.
    public var byteCount: Int { range.count + (scales?.range.count ?? 0) }

    /// How the elements are kept, in words.
    public var encoding: String { BlockSize.encoding(dtype, scales?.block) }
  }

  public enum Treatment: Sendable, Equatable {
    /// The first `elements` elements, which is all of them unless the vocabularies differ, are extrapolated; the rest
    /// are taken from aligned.
    case extrapolate(elements: Int)
    /// The bytes of aligned, of a dtype that is not computed with.
    case copy
    /// The elements of aligned, as its alpha is 0; sft is not read.
    case keep
  }

  public let name: String
  public let shape: [Int]
  /// Of the output.
  public let dtype: DType
  public let aligned: Place
  /// For a copied tensor only to compare with.
  public let sft: Place
  public let treatment: Treatment
  /// How far it is extrapolated; in the first variant, where it has no rule.
  public let alpha: Double
  /// Index into the recipe's rules; nil where the alpha is the recipe's.
  public let rule: Int?

  /// Whether any of it depends on sft.
  public var isExtrapolated: Bool {
    if case .extrapolate = treatment { true } else { false }
  }

  public var elementCount: Int { shape.reduce(1, *) }

  /// Bytes of the output.
  public var byteCount: Int { elementCount * dtype.bits / 8 }
}

extension DType {
  /// The format to compute in; nil for integers, BOOL, complex and packed formats, which are copied.
  public var floatFormat: FloatFormat? {
    switch self {
    case .f64: .f64
    case .f32: .f32
    case .f16: .f16
    case .bf16: .bf16
    case .f8E4M3: .f8E4M3
    case .f8E5M2: .f8E5M2
    case .f8E4M3FNUZ: .f8E4M3FNUZ
    case .f8E5M2FNUZ: .f8E5M2FNUZ
    case .bool, .f4, .f6E2M3, .f6E3M2, .u8, .i8, .f8E8M0, .i16, .u16, .i32, .u32, .c64, .i64, .u64: nil
    }
  }
}
