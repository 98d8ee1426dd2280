import Checkpoint
import Kernels
import Planning
import Report

extension Recipe {
  /// The recipe as people read it, in the model card and in reports.
  var rows: [Report.Row] {
    [
      .init("alpha", alphas.map { "\($0)" }.joined(separator: ", ")), .init("arithmetic", arithmetic.rawValue),
      .init("dtype", dtype?.rawValue ?? "as aligned"), .init("vocabulary", vocabulary.rawValue),
    ]
  }

  /// Every alpha that a tensor is extrapolated by.
  var alphas: [Double] { [alpha] }
}
