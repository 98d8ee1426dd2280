import CKernels

/// How d = a - s, p = alpha·d and r = a + p are rounded.
public enum Arithmetic: String, Sendable, CaseIterable, Codable {
  /// Each to f32, to nearest even and never fused (to f64 where an input is F64); r then once to the output's dtype.
  case float32
  /// Each to the dtype of the tensors, as PyTorch does on a CPU: what the authors' script gives, bit for bit.
  case reference
}

/// What is done with a run of elements.
public enum ElementOperation: Sendable, Equatable {
  /// out = a + alpha·(a - s), equation 2 of arXiv:2404.16792.
  ///
  /// `alpha` is rounded to f32, except where an input is F64.
  case extrapolate(alpha: Double, arithmetic: Arithmetic, aligned: FloatFormat, sft: FloatFormat, output: FloatFormat)
  /// out = a in another format.
  case convert(aligned: FloatFormat, output: FloatFormat)

  var code: expo_operation {
    switch self {
    case .extrapolate(let alpha, .float32, let aligned, let sft, let output):
      expo_operation(
        aligned: aligned.code, sft: sft.code, output: output.code, arithmetic: EXPO_ARITHMETIC_FLOAT32, alpha: alpha, counts_only: 0)
    case .extrapolate(let alpha, .reference, let aligned, let sft, let output):
      expo_operation(
        aligned: aligned.code, sft: sft.code, output: output.code, arithmetic: EXPO_ARITHMETIC_REFERENCE, alpha: alpha, counts_only: 0)
    case .convert(let aligned, let output):
      expo_operation(
        aligned: aligned.code, sft: aligned.code, output: output.code, arithmetic: EXPO_ARITHMETIC_CONVERT, alpha: 0, counts_only: 0)
    }
  }

  /// Bytes of one element of aligned, sft (0 where it is not read) and output.
  public var sizes: (aligned: Int, sft: Int, output: Int) {
    switch self {
    case .extrapolate(_, _, let aligned, let sft, let output): (aligned.size, sft.size, output.size)
    case .convert(let aligned, let output): (aligned.size, 0, output.size)
    }
  }
}
