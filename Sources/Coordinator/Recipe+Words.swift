import Checkpoint
import Kernels
import Planning
import Report

extension Recipe {
  /// The recipe as people read it, in the model card and in reports.
  var rows: [Report.Row] {
    [
      .init("alpha", alphaText), .init("arithmetic", arithmetic.rawValue),
      .init("dtype", dtype?.rawValue ?? "as aligned"), .init("vocabulary", vocabulary.rawValue),
    ]
  }
}

extension Plan {
  /// The alphas that tensors are extrapolated by, or the least and the largest where there are many.
  ///
  /// - Parameter shown: indices into the variants.
  func alphas(of shown: [Int]) -> [Double] {
    let all = Set(pairs.filter(\.isExtrapolated).flatMap { pair in shown.map { alpha(of: pair, in: $0) } }).sorted()
    guard all.count > 8, let least = all.first, let most = all.last else { return all }
    return [least, most]
  }
}
