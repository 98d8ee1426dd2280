import CKernels

/// A page of an input could not be read: the mapped file has become shorter.
public struct InputVanished: Error {
  public init() {}
}

/// The kernel over one segment of a tensor, fed block by block; keeps the sums of all blocks.
public struct ElementRun {
  public let operation: ElementOperation
  private let level: CPULevel
  private var code: expo_operation
  private var lanes = expo_sums()

  public init(_ operation: ElementOperation, level: CPULevel = .best) {
    precondition(level.isAvailable)
    self.operation = operation
    self.level = level
    code = operation.code
  }

  /// Blocks must be a multiple of this number of elements, save the last of a segment, for the sums not to depend on
  /// where the blocks were cut. The output never does.
  public static let granule = Int(EXPO_LANES)

  /// Computes `count` elements. Buffers may have any alignment; `sft` is not read by a conversion.
  ///
  /// - Throws: `InputVanished`, after which `output` holds rubbish and the run must be thrown away.
  public mutating func process(
    aligned: UnsafeRawBufferPointer, sft: UnsafeRawBufferPointer, output: UnsafeMutableRawBufferPointer, count: Int
  ) throws(InputVanished) {
    let sizes = operation.sizes
    precondition(
      aligned.count >= count * sizes.aligned && sft.count >= count * sizes.sft && output.count >= count * sizes.output)
    guard count > 0 else { return }
    let status = expo_extrapolate(
      level.code, &code, aligned.baseAddress, sft.baseAddress, output.baseAddress, count, &lanes)
    if status != 0 { throw InputVanished() }
  }

  /// The sums of everything processed; empty for a conversion.
  public var sums: DeltaSums { DeltaSums(lanes) }
}

/// Copies the bytes of `aligned` to `output`; returns in how many of them `sft` differs.
///
/// - Throws: `InputVanished`.
public func copyBytes(
  of aligned: UnsafeRawBufferPointer, comparedTo sft: UnsafeRawBufferPointer?, to output: UnsafeMutableRawBufferPointer
) throws(InputVanished) -> UInt64 {
  precondition(output.count >= aligned.count && (sft?.count ?? aligned.count) >= aligned.count)
  guard aligned.count > 0 else { return 0 }
  var differing: UInt64 = 0
  let status = expo_copy(aligned.baseAddress, sft?.baseAddress, output.baseAddress, aligned.count, &differing)
  if status != 0 { throw InputVanished() }
  return differing
}
