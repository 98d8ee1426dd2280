import Checkpoint
public import Diagnostics
import Digests
public import Kernels
public import Planning
import Wire

/// Computes shards, one after another, on one thread: reads input slices, runs the kernel, digests each block while it
/// is in the cache, hands it to the sink.
public struct ShardExecutor: ~Copyable {
  private let plan: Plan
  private let level: CPULevel
  let blockSize: Int
  /// A block of each variant.
  private let outputs: Memory
  private var aligned: InputReader
  private var sft: InputReader

  public init(plan: Plan, aligned: InputFiles, sft: InputFiles, level: CPULevel = .best) {
    self.plan = plan
    self.level = level
    blockSize = max(aligned.blockSize, sft.blockSize)
    let sliceLimit = blockSize * Self.widestRatio(plan)
    outputs = Memory(count: blockSize * plan.variants.count)
    self.aligned = InputReader(aligned, .aligned, sliceLimit: sliceLimit)
    self.sft = InputReader(sft, .sft, sliceLimit: sliceLimit)
  }

  /// How much larger than its output an input slice can be: eight times for F64 to F8.
  private static func widestRatio(_ plan: Plan) -> Int {
    plan.pairs.reduce(1) { widest, pair in
      let input = max(pair.aligned.dtype.bits, pair.sft.dtype.bits)
      return max(widest, (input + pair.dtype.bits - 1) / pair.dtype.bits)
    }
  }

  /// Computes a shard in all variants.
  ///
  /// - Parameters:
  ///   - streamed: the slices that do not come from files.
  ///   - mayContinue: asked before each block; false ends the shard.
  ///   - didFinishBlock: told the bytes of each block that the sink has taken.
  /// - Returns: nil if it was ended.
  /// - Throws: what reading and writing throw, naming the file; `cancelled` where it waited for what never came.
  public mutating func compute(
    _ shard: Plan.Shard, streamed: StreamedInputs? = nil, into sink: some ShardSink, mayContinue: () -> Bool = { true },
    didFinishBlock: (Int) -> Void = { _ in }
  ) throws(Failure) -> ShardResult? {
    aligned.streamed = streamed
    sft.streamed = streamed
    defer {
      aligned.streamed = nil
      sft.streamed = nil
    }
    let header = plan.files[shard.file].header
    let variants = plan.variants.indices
    let digests = variants.map { _ in BlockDigest() }
    var cursor = SegmentCursor(variants.map { plan.segments(of: shard, variant: $0) }, level: level)
    var offset = shard.range.lowerBound
    while offset < shard.range.upperBound {
      guard mayContinue() else { return nil }
      streamed?.release(before: offset)
      let end = min(offset + blockSize, shard.range.upperBound)
      var targets: [UnsafeMutableRawBufferPointer] = []
      for variant in variants {
        let own = outputs.bytes[variant * blockSize..<variant * blockSize + end - offset]
        targets.append(try sink.memory(for: offset..<end, variant: variant) ?? UnsafeMutableRawBufferPointer(rebasing: own))
      }
      var filled = offset
      if offset < header.count {
        filled = min(header.count, end)
        for target in targets { target.copyBytes(from: header[offset..<filled]) }
      }
      while filled < end {
        let part = cursor.next(upTo: end)
        let place = part.output.lowerBound - offset..<part.output.upperBound - offset
        try fill(targets.map { UnsafeMutableRawBufferPointer(rebasing: $0[place]) }, with: part, &cursor)
        filled = part.output.upperBound
      }
      for (variant, target) in targets.enumerated() {
        let block = UnsafeRawBufferPointer(target)
        digests[variant].update(block)
        try sink.write(block, at: offset, variant: variant)
        didFinishBlock(block.count)
      }
      offset = end
    }
    return ShardResult(shard: shard.number, digests: digests.map(\.digest), segments: cursor.finish())
  }

  private mutating func fill(
    _ targets: [UnsafeMutableRawBufferPointer], with part: SegmentCursor.Part, _ cursor: inout SegmentCursor
  ) throws(Failure) {
    let alignedBytes = try aligned.bytes(of: part.aligned)
    var sftBytes = UnsafeRawBufferPointer(start: nil, count: 0)
    if let source = part.sft { sftBytes = try sft.bytes(of: source) }
    do throws(InputVanished) {
      try cursor.run(aligned: alignedBytes, sft: sftBytes, outputs: targets, elements: part.elements)
    } catch {
      if let source = part.sft, let failure = try sft.truncation(of: source) { throw failure }
      throw try aligned.truncation(of: part.aligned) ?? aligned.unreadable(part.aligned)
    }
  }
}
