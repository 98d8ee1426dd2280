import CKernels

/// A floating-point format that the kernels compute with.
public enum FloatFormat: UInt8, Sendable, CaseIterable {
  case f64, f32, f16, bf16, f8E4M3, f8E5M2, f8E4M3FNUZ, f8E5M2FNUZ

  var code: expo_dtype {
    switch self {
    case .f64: EXPO_F64
    case .f32: EXPO_F32
    case .f16: EXPO_F16
    case .bf16: EXPO_BF16
    case .f8E4M3: EXPO_F8_E4M3
    case .f8E5M2: EXPO_F8_E5M2
    case .f8E4M3FNUZ: EXPO_F8_E4M3FNUZ
    case .f8E5M2FNUZ: EXPO_F8_E5M2FNUZ
    }
  }

  /// Bytes of one element.
  public var size: Int {
    switch self {
    case .f64: 8
    case .f32: 4
    case .f16, .bf16: 2
    case .f8E4M3, .f8E5M2, .f8E4M3FNUZ, .f8E5M2FNUZ: 1
    }
  }

  /// Whether PyTorch computes in this format on a CPU, so that `Arithmetic.reference` is defined for it.
  public var hasReferenceArithmetic: Bool {
    switch self {
    case .f64, .f32, .f16, .bf16: true
    case .f8E4M3, .f8E5M2, .f8E4M3FNUZ, .f8E5M2FNUZ: false
    }
  }
}
