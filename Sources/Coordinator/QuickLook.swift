public import Diagnostics
import Digests
public import FileIO
public import Kernels
public import Planning
import Synchronization
import Worker

/// A look at a few pages of every tensor, to warn before hours of work.
public enum QuickLook {
  private static let pageSize = 4096
  /// Pages of each input in all; models with more tensors are looked at in every n-th of them.
  private static let pageLimit = 8192

  /// Estimated sums over the whole pair; sums only, as counts of rare elements cannot be estimated.
  public static func estimate(_ plan: Plan, _ context: RunContext, calls: SystemCalls = .live) throws(Failure) -> DeltaSums {
    let aligned = try InputFiles(of: plan.aligned, method: .pread, calls: calls)
    let sft = try InputFiles(of: plan.sft, method: .pread, calls: calls)
    let computed = plan.pairs.indices.filter { plan.pairs[$0].isExtrapolated && plan.pairs[$0].elementCount > 0 }
    let step = max(1, (computed.count + pageLimit - 1) / pageLimit)
    let chosen = stride(from: 0, to: computed.count, by: step).map { computed[$0] }
    let pagesEach = min(max(pageLimit / max(chosen.count, 1), 1), 4)
    let found = Mutex([Int: DeltaSums]())
    try context.run(chosen.count) { (queue) throws(Failure) in
      var mine: [Int: DeltaSums] = [:]
      while let index = queue.take() {
        mine[index] = try look(at: plan.pairs[chosen[index]], plan, aligned, sft, pages: pagesEach)
      }
      let complete = mine
      found.withLock { $0.merge(complete) { first, _ in first } }
    }
    return found.withLock { found in
      chosen.indices.reduce(into: DeltaSums()) { sum, index in sum += found[index] ?? DeltaSums() }
    }
  }

  /// Sums of a few pages, scaled to the tensor's size.
  private static func look(
    at pair: TensorPair, _ plan: Plan, _ aligned: InputFiles, _ sft: InputFiles, pages: Int
  ) throws(Failure) -> DeltaSums {
    guard let alignedFormat = pair.aligned.dtype.floatFormat, let sftFormat = pair.sft.dtype.floatFormat,
      case .extrapolate(let common) = pair.treatment, common > 0
    else { return DeltaSums() }
    var run = ElementRun(
      .extrapolate(
        alpha: plan.recipe.alpha, arithmetic: .float32, aligned: alignedFormat, sft: sftFormat, output: .f64))
    let count = min(common, pageSize / max(alignedFormat.size, sftFormat.size))
    var places = SplitMix64(seed: plan.fingerprint.high)
    var scratch = [UInt8](repeating: 0, count: count * 8)
    for _ in 0..<(count == common ? 1 : pages) {
      let start = Int(places.next() % UInt64(common - count + 1))
      let a = try aligned.files[pair.aligned.file].read(
        at: pair.aligned.range.lowerBound + start * alignedFormat.size, count: count * alignedFormat.size)
      let s = try sft.files[pair.sft.file].read(
        at: pair.sft.range.lowerBound + start * sftFormat.size, count: count * sftFormat.size)
      scratch.withUnsafeMutableBytes { output in
        a.withUnsafeBytes { a in
          s.withUnsafeBytes { s in
            // Cannot fail: nothing here is mapped.
            try? run.process(aligned: a, sft: s, output: output, count: count)
          }
        }
      }
    }
    return run.sums.scaled(by: Double(common) / Double(run.sums.elements))
  }
}

extension DeltaSums {
  fileprivate func scaled(by factor: Double) -> DeltaSums {
    var scaled = self
    scaled.deltaSquared *= factor
    scaled.alignedSquared *= factor
    scaled.sftSquared *= factor
    scaled.dot *= factor
    return scaled
  }
}
