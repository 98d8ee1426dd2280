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

  /// - Parameters:
  ///   - operation: what is computed.
  ///   - level: the instructions that it is computed with.
  ///   - countsOnly: of the sums only the counts of the output are wanted, as those of the inputs are known from another run.
  public init(_ operation: ElementOperation, level: CPULevel = .best, countsOnly: Bool = false) {
    precondition(level.isAvailable)
    self.operation = operation
    self.level = level
    code = operation.code
    code.counts_only = countsOnly ? 1 : 0
  }

  /// Computes `count` elements that follow those of the call before. Where the calls cut the segment changes neither
  /// output nor sums. Buffers may have any alignment; `sft` is not read by a conversion.
  ///
  /// - Throws: `InputVanished`, after which `output` holds rubbish and the run must be thrown away.
  public mutating func process(
    aligned: UnsafeRawBufferPointer, sft: UnsafeRawBufferPointer, output: UnsafeMutableRawBufferPointer, count: Int
  ) throws(InputVanished) {
    let sizes = operation.sizes
    precondition(
      aligned.count >= count * sizes.aligned && sft.count >= count * sizes.sft && output.count >= count * sizes.output)
    guard count > 0, let aligned = aligned.baseAddress, let output = output.baseAddress else { return }
    let sft = sft.baseAddress ?? aligned
    // The first lanes of a call are those that the call before left off at.
    let lane = Int(lanes.elements % UInt64(EXPO_LANES))
    let head = lane == 0 ? 0 : min(Int(EXPO_LANES) - lane, count)
    if head > 0 {
      var part = expo_sums()
      try Self.run(level, &code, aligned, sft, output, head, &part)
      lanes.add(part, fromLane: lane)
    }
    try Self.run(
      level, &code, aligned + head * sizes.aligned, sft + head * sizes.sft, output + head * sizes.output, count - head, &lanes)
  }

  private static func run(
    _ level: CPULevel, _ code: inout expo_operation, _ aligned: UnsafeRawPointer, _ sft: UnsafeRawPointer, _ output: UnsafeMutableRawPointer, _ count: Int,
    _ sums: inout expo_sums
  ) throws(InputVanished) {
    if expo_extrapolate(level.code, &code, aligned, sft, output, count, &sums) != 0 { throw InputVanished() }
  }

  /// The sums of everything processed; for a conversion only the counts of elements that are not finite.
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
