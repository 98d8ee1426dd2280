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
    ] + rules.prefix(100).enumerated().map { .init("rule \($0 + 1)", "\($1.conditions): \($1.value)") }
  }

  /// The alphas that it names.
  var alphas: [Double] { Set([alpha] + rules.flatMap(\.alphas)).sorted() }
}
