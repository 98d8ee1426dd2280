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
      let block = offset..<min(offset + blockSize, shard.range.upperBound)
      func deliver(_ target: UnsafeMutableRawBufferPointer, _ variant: Int) throws(Failure) {
        digests[variant].update(UnsafeRawBufferPointer(target))
        try sink.write(UnsafeRawBufferPointer(target), at: block.lowerBound, variant: variant)
        didFinishBlock(block.count)
      }
      if block.lowerBound >= header.count, case let part = cursor.next(upTo: block.upperBound), part.output == block {
        // As nearly all blocks are: what a variant has is on its way before the next is computed, all in the same cache.
        let inputs = try inputs(of: part)
        for variant in variants {
          let target = try sink.memory(for: block, variant: variant) ?? own(block.count, 0)
          try run(part, inputs, variant, to: target, &cursor)
          try deliver(target, variant)
        }
        cursor.advance(over: part)
      } else {
        var targets: [UnsafeMutableRawBufferPointer] = []
        for variant in variants { targets.append(try sink.memory(for: block, variant: variant) ?? own(block.count, variant)) }
        var filled = block.lowerBound
        if filled < header.count {
          filled = min(header.count, block.upperBound)
          for target in targets { target.copyBytes(from: header[block.lowerBound..<filled]) }
        }
        while filled < block.upperBound {
          let part = cursor.next(upTo: block.upperBound)
          let place = part.output.lowerBound - block.lowerBound..<part.output.upperBound - block.lowerBound
          let inputs = try inputs(of: part)
          for variant in variants {
            try run(part, inputs, variant, to: UnsafeMutableRawBufferPointer(rebasing: targets[variant][place]), &cursor)
          }
          cursor.advance(over: part)
          filled = part.output.upperBound
        }
        for variant in variants { try deliver(targets[variant], variant) }
      }
      offset = block.upperBound
    }
    return ShardResult(shard: shard.number, digests: digests.map(\.digest), segments: cursor.finish())
  }

  /// A block of the executor's own.
  private func own(_ count: Int, _ variant: Int) -> UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(rebasing: outputs.bytes[variant * blockSize..<variant * blockSize + count])
  }

  private mutating func inputs(
    of part: SegmentCursor.Part
  ) throws(Failure) -> (aligned: UnsafeRawBufferPointer, sft: UnsafeRawBufferPointer) {
    let alignedBytes = try aligned.bytes(of: part.aligned)
    guard let source = part.sft else { return (alignedBytes, UnsafeRawBufferPointer(start: nil, count: 0)) }
    return (alignedBytes, try sft.bytes(of: source))
  }

  private mutating func run(
    _ part: SegmentCursor.Part, _ inputs: (aligned: UnsafeRawBufferPointer, sft: UnsafeRawBufferPointer), _ variant: Int,
    to target: UnsafeMutableRawBufferPointer, _ cursor: inout SegmentCursor
  ) throws(Failure) {
    do throws(InputVanished) {
      try cursor.run(variant: variant, aligned: inputs.aligned, sft: inputs.sft, output: target, elements: part.elements)
    } catch {
      if let source = part.sft, let failure = try sft.truncation(of: source) { throw failure }
      throw try aligned.truncation(of: part.aligned) ?? aligned.unreadable(part.aligned)
    }
  }
}
