import Checkpoint
import Coordinator
import Diagnostics
import Planning
import SystemPackage

/// Merges a pair with several alphas, each into a folder of its own.
struct CandidateMerges {
  /// Of the pair, with any alpha.
  let plan: Plan
  let recipe: (_ alpha: Double) -> Recipe
  let options: MergeJob.Options
  /// What alone would merge with an alpha into a folder, for the model card.
  let command: (_ alpha: Double) -> String
  let context: () -> RunContext

  /// Merges those that are not complete, and goes on with those that were begun.
  ///
  /// - Parameter folder: where the checkpoint of an alpha comes to.
  /// - Throws: `interrupted` after a cancellation.
  func merge(_ alphas: [Double], into folder: (Double) -> FilePath) throws(Failure) {
    // One after another: each reads the pair.
    for alpha in alphas {
      var options = options
      options.command = command(alpha)
      let plan = try Plan(aligned: plan.aligned, sft: plan.sft, recipe: recipe(alpha))
      _ = try MergeJob(plan: plan, output: folder(alpha), options: options, context: context()).run()
    }
  }

  /// Bytes of one checkpoint.
  var checkpointBytes: Int { plan.outputBytes + plan.aligned.companions.reduce(0) { $0 + $1.size } + Self.documentBytes }

  /// About what model card, manifest and report have.
  private static let documentBytes = 1 << 20
}
