import Checkpoint
import Coordinator
import Diagnostics
import FileIO
import Planning
import SystemPackage

/// Merges a pair with several alphas, each into a folder of its own.
struct CandidateMerges {
  /// Of the pair, with any alpha.
  let plan: Plan
  let recipe: (_ alphas: [Double]) -> Recipe
  let options: MergeJob.Options
  /// What alone would merge with these alphas, for the model cards.
  let command: (_ alphas: [Double]) -> String
  let context: () -> RunContext

  /// Merges those that are not complete, and goes on with those that were begun. Those that were not are merged together, from
  /// one read of the pair.
  ///
  /// - Parameter folder: where the checkpoints come to, as its candidates.
  /// - Throws: `interrupted` after a cancellation.
  func merge(_ alphas: [Double], in folder: SearchFolder) throws(Failure) {
    try folder.spread()
    let together = try folder.begunTogether().filter { Set($0).isSubset(of: alphas) }
    var rest: [Double] = []
    for alpha in alphas where !together.joined().contains(alpha) {
      if try folder.isBegunAlone(alpha) { try run([alpha], to: folder.candidate(alpha)) } else { rest.append(alpha) }
    }
    for group in together + Self.groups(of: rest) {
      if group.count == 1 {
        try run(group, to: folder.candidate(group[0]))
      } else {
        try run(group, to: folder.together(group))
        SearchCrashPoint.mergedTogether.pass()
        try folder.spread()
      }
    }
  }

  private func run(_ alphas: [Double], to output: FilePath) throws(Failure) {
    var options = options
    options.command = command(alphas)
    let plan = try Plan(aligned: plan.aligned, sft: plan.sft, recipe: recipe(alphas))
    _ = try MergeJob(plan: plan, output: output, options: options, context: context()).run()
  }

  /// As many at a time as one merge may have.
  private static func groups(of alphas: [Double]) -> [[Double]] {
    stride(from: 0, to: alphas.count, by: mergeLimit).map { Array(alphas[$0..<min($0 + mergeLimit, alphas.count)]) }
  }

  /// Few enough for a folder's name to hold them.
  private static let mergeLimit = 8

  /// Bytes of one checkpoint.
  var checkpointBytes: Int { plan.outputBytes + plan.aligned.companions.reduce(0) { $0 + $1.size } + Self.documentBytes }

  /// About what model card, manifest and report have.
  private static let documentBytes = 1 << 20
}
