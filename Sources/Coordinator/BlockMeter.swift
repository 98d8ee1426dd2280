import Checkpoint
import Deltas
import Diagnostics
import FileIO
import Kernels
import Planning
import Worker

/// Reads blocks of a pair for one thread and measures them: what is looked at besides merging.
struct BlockMeter: ~Copyable {
  /// The files of both sides, for all threads.
  struct Inputs: Sendable {
    fileprivate let aligned: [File]
    fileprivate let sft: [File]

    init(_ plan: Plan, calls: SystemCalls) throws(Failure) {
      aligned = try InputFiles(of: plan.aligned, method: .pread, calls: calls).files
      sft = try InputFiles(of: plan.sft, method: .pread, calls: calls).files
    }
  }

  private let inputs: Inputs
  private let limit: Int
  private let aligned: Memory
  private let sft: Memory
  private let output: Memory

  /// - Parameter limit: elements of the largest block.
  init(_ inputs: Inputs, limit: Int) {
    self.inputs = inputs
    self.limit = limit
    aligned = Memory(count: limit * MemoryLayout<Double>.size)
    sft = Memory(count: limit * MemoryLayout<Double>.size)
    output = Memory(count: limit * MemoryLayout<Double>.size)
  }

  /// Measures some of the elements that are extrapolated.
  ///
  /// - Parameter hasShape: whether the distribution of the differences is wanted too, which takes longer.
  func measure(_ pair: TensorPair, _ elements: Range<Int>, hasShape: Bool) throws(Failure) -> DeltaMeasure {
    guard let alignedFormat = pair.aligned.dtype.floatFormat, let sftFormat = pair.sft.dtype.floatFormat else {
      preconditionFailure("only floats are extrapolated")
    }
    precondition(elements.count <= limit)
    let a = try Self.read(elements, of: pair.aligned, alignedFormat, inputs.aligned, into: aligned.bytes)
    let s = try Self.read(elements, of: pair.sft, sftFormat, inputs.sft, into: sft.bytes)
    // In f64 nothing overflows, and what alpha would add is of no interest.
    var run = ElementRun(
      .extrapolate(alpha: 0, arithmetic: .float32, aligned: alignedFormat, sft: sftFormat, output: .f64))
    // Cannot fail: nothing here is mapped.
    try? run.process(aligned: a, sft: s, output: output.bytes, count: elements.count)
    let shape = hasShape ? DeltaShape(aligned: a, alignedFormat, sft: s, sftFormat, count: elements.count) : nil
    return DeltaMeasure(run.sums, shape: shape)
  }

  private static func read(
    _ elements: Range<Int>, of place: TensorPair.Place, _ format: FloatFormat, _ files: [File],
    into buffer: UnsafeMutableRawBufferPointer
  ) throws(Failure) -> UnsafeRawBufferPointer {
    let target = UnsafeMutableRawBufferPointer(rebasing: buffer[..<(elements.count * format.size)])
    try files[place.file].read(into: target, at: place.range.lowerBound + elements.lowerBound * format.size)
    return UnsafeRawBufferPointer(target)
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
