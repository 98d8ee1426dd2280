public import Checkpoint
public import Diagnostics
public import Kernels

extension Problem.Code {
  public static let alphaInvalid = Self("alpha-invalid")
  public static let dtypeNotFloat = Self("dtype-not-float")
  public static let shardSizeInvalid = Self("shard-size-invalid")
  public static let fileSizeInvalid = Self("file-size-invalid")
}

/// What is asked of a merge, besides the pair itself.
public struct Recipe: Sendable, Equatable, Codable {
  /// What to do when embedding and head of the pair have different numbers of rows.
  public enum Vocabulary: String, Sendable, CaseIterable, Codable {
    case refuse
    /// Extrapolate the rows that both have, and copy the others from aligned.
    case overlap
  }

  /// How far to go beyond aligned: out = aligned + alpha·(aligned - sft), equation 2 of arXiv:2404.16792.
  public var alpha: Double
  public var arithmetic: Arithmetic
  /// The dtype of computed tensors; nil keeps that of aligned.
  public var dtype: DType?
  public var vocabulary: Vocabulary
  /// Bytes of tensors in one output file, unless one tensor alone has more.
  public var maxFileSize: Int
  /// Bytes of a shard.
  public var shardSize: Int

  public init(
    alpha: Double, arithmetic: Arithmetic = .float32, dtype: DType? = nil, vocabulary: Vocabulary = .refuse,
    maxFileSize: Int = 5_000_000_000, shardSize: Int = 64 << 20
  ) {
    self.alpha = alpha
    self.arithmetic = arithmetic
    self.dtype = dtype
    self.vocabulary = vocabulary
    self.maxFileSize = maxFileSize
    self.shardSize = shardSize
  }

  /// Shards start on multiples of this: the largest page size of arm64, as network filesystems lose writes that share
  /// a page.
  public static let shardGranule = 64 << 10

  /// Everything that makes the recipe impossible.
  public func problems() -> [Problem] {
    var problems: [Problem] = []
    if let dtype, dtype.floatFormat == nil {
      problems.append(
        Problem(.dtypeNotFloat, "the output's dtype \(dtype.rawValue) is not floating-point", remedy: "choose bf16, f16, f32 or f64"))
    }
    if !Float(alpha).isFinite {
      problems.append(Problem(.alphaInvalid, "alpha is \(alpha), not a finite f32", remedy: "0.1 to 0.5 are usual"))
    }
    if shardSize < Self.shardGranule || shardSize % Self.shardGranule != 0 || shardSize > 1 << 40 {
      problems.append(
        Problem(
          .shardSizeInvalid, "the shard size is \(shardSize) bytes", remedy: "choose a multiple of 64KiB, as in 64MiB"))
    }
    if maxFileSize < 1 {
      problems.append(
        Problem(.fileSizeInvalid, "the largest file size is \(maxFileSize) bytes", remedy: "5GB is usual"))
    }
    return problems
  }
}
