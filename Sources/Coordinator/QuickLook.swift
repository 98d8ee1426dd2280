import Deltas
public import Diagnostics
import Digests
public import FileIO
public import Kernels
public import Planning

/// A look at a few pages of every tensor, to warn before hours of work.
public enum QuickLook {
  private static let pageSize = 4096
  /// Pages of each input in all; models with more tensors are looked at in every n-th of them.
  private static let pageLimit = 8192

  /// Estimated sums over the whole pair.
  public static func estimate(_ plan: Plan, _ context: RunContext, calls: SystemCalls = .live) throws(Failure) -> DeltaSums {
    let inputs = try BlockMeter.Inputs(plan, calls: calls)
    let computed = plan.pairs.filter { $0.extrapolatedElements > 0 }
    let step = max(1, (computed.count + pageLimit - 1) / pageLimit)
    let chosen = stride(from: 0, to: computed.count, by: step).map { computed[$0] }
    let pagesEach = min(max(pageLimit / max(chosen.count, 1), 1), 4)
    let found = ResultSlots<DeltaMeasure>(count: chosen.count)
    try context.run(chosen.count) { (queue) throws(Failure) in
      var meter = BlockMeter(inputs, limit: pageSize)
      while let index = queue.take() {
        var pages: [DeltaMeasure] = []
        for page in places(in: chosen[index], count: pagesEach, seed: plan.fingerprint.high) {
          pages.append(try meter.measure(chosen[index], page, hasShape: false))
        }
        guard let measure = DeltaMeasure(pages) else { continue }
        found.set(measure.scaled(to: chosen[index].extrapolatedElements), at: index)
      }
    }
    return (DeltaMeasure(found.values.compactMap { $0 }))?.sums ?? DeltaSums()
  }

  /// A few pages of a tensor, or all of it where that is less than one.
  private static func places(in pair: TensorPair, count: Int, seed: UInt64) -> [Range<Int>] {
    let elements = pair.extrapolatedElements
    let page = pageSize / pair.largestElementSize
    guard elements > page else { return [0..<elements] }
    var random = SplitMix64(seed: seed)
    return (0..<count).map { _ in
      let start = Int(random.next() % UInt64(elements - page + 1))
      return start..<start + page
    }
  }
}
