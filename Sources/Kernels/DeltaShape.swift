import CKernels

/// How the differences d = a - s of elements are distributed, as far as `DeltaSums` does not tell. Elements where a, s
/// or d is not finite are left out.
public struct DeltaShape: Sendable, Equatable {
  /// Σ d⁴, in f64.
  public var deltaFourth: Double = 0
  /// The largest 1 / alpha of an alpha from which on a + alpha·d is infinite in F16; 0 where none is.
  public var f16Reach: Double = 0
  /// Counts of |d| that is not zero, by power of two: those of `magnitudes[i]` are at least 2^(i + leastExponent), and
  /// less than twice that. What is smaller or larger than all is in the first or the last.
  public var magnitudes = Array(repeating: UInt64(0), count: Int(EXPO_MAGNITUDES))

  public static let leastExponent = Int(EXPO_LEAST_EXPONENT)

  public init() {}

  /// Looks at `count` elements of each side. The buffers may have any alignment, and must not be mapped.
  public init(
    aligned: UnsafeRawBufferPointer, _ alignedFormat: FloatFormat, sft: UnsafeRawBufferPointer, _ sftFormat: FloatFormat,
    count: Int, level: CPULevel = .best
  ) {
    precondition(
      level.isAvailable && aligned.count >= count * alignedFormat.size && sft.count >= count * sftFormat.size)
    guard count > 0 else { return }
    var shape = expo_shape()
    expo_delta_shape(level.code, alignedFormat.code, sftFormat.code, aligned.baseAddress, sft.baseAddress, count, &shape)
    deltaFourth = shape.delta_fourth
    f16Reach = shape.f16_reach
    magnitudes = withUnsafeBytes(of: shape.magnitudes) { Array($0.bindMemory(to: UInt64.self)) }
  }

  /// Adds the shape of another part; as with `DeltaSums`, in the order of the plan.
  public static func += (sum: inout DeltaShape, part: DeltaShape) {
    sum.deltaFourth += part.deltaFourth
    sum.f16Reach = max(sum.f16Reach, part.f16Reach)
    for index in sum.magnitudes.indices { sum.magnitudes[index] += part.magnitudes[index] }
  }
}
