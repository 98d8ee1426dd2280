import Checkpoint
import Deltas
import Diagnostics
import FileIO
import Kernels
import Planning
import Wire
import Worker

/// Reads blocks of a pair for one thread and measures them: what is looked at besides merging.
struct BlockMeter: ~Copyable {
  /// The files of both sides, for all threads.
  struct Inputs: Sendable {
    fileprivate let aligned: InputFiles
    fileprivate let sft: InputFiles

    init(_ plan: Plan, calls: SystemCalls) throws(Failure) {
      aligned = try InputFiles(of: plan.aligned, method: .pread, calls: calls)
      sft = try InputFiles(of: plan.sft, method: .pread, calls: calls)
    }
  }

  private let limit: Int
  private var aligned: InputReader
  private var sft: InputReader
  private let output: Memory

  /// - Parameter limit: elements of the largest block.
  init(_ inputs: Inputs, limit: Int) {
    self.limit = limit
    let bytes = limit * MemoryLayout<Double>.size
    aligned = InputReader(inputs.aligned, .aligned, sliceLimit: bytes)
    sft = InputReader(inputs.sft, .sft, sliceLimit: bytes)
    output = Memory(count: bytes)
  }

  /// Measures some of the elements that are extrapolated.
  ///
  /// - Parameter hasShape: whether the distribution of the differences is wanted too, which takes longer.
  mutating func measure(_ pair: TensorPair, _ elements: Range<Int>, hasShape: Bool) throws(Failure) -> DeltaMeasure {
    guard let alignedFormat = pair.aligned.format, let sftFormat = pair.sft.format else {
      preconditionFailure("only floats are extrapolated")
    }
    precondition(elements.count <= limit)
    let a = try aligned.bytes(of: pair.aligned.source.elements(elements, size: alignedFormat.size))
    let s = try sft.bytes(of: pair.sft.source.elements(elements, size: sftFormat.size))
    // In f64 nothing overflows, and what alpha would add is of no interest.
    var run = ElementRun(
      .extrapolate(alpha: 0, arithmetic: .float32, aligned: alignedFormat, sft: sftFormat, output: .f64))
    // Cannot fail: nothing here is mapped.
    try? run.process(aligned: a, sft: s, output: output.bytes, count: elements.count)
    let shape = hasShape ? DeltaShape(aligned: a, alignedFormat, sft: s, sftFormat, count: elements.count) : nil
    return DeltaMeasure(run.sums, shape: shape)
  }
}

extension TensorPair {
  /// Leading elements that are extrapolated; none of a tensor that is copied or kept.
  var extrapolatedElements: Int {
    switch treatment {
    case .extrapolate(let elements): elements
    case .copy, .keep: 0
    }
  }

  /// Bytes of an element of the wider side.
  var largestElementSize: Int { max(aligned.dtype.bits, sft.dtype.bits) / 8 }
}
