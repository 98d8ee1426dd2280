import ArgumentParser
import Checkpoint
import Coordinator
import Diagnostics
import Digests
import FileIO
import Planning
import Processes
import Search
import SystemPackage
import Worker

struct SearchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "search", abstract: "Merge with several alphas, score each by a command of yours, and keep the best.",
    discussion: """
      The command is run by /bin/sh, with the path of a checkpoint for {model}; the last line that it prints must be a \
      number. Stopped or crashed, the search goes on when the same command is run again: no score is computed twice.

      Example:  expomerge search --sft DIR --aligned DIR --range 0.1:0.5:0.1 --score-command 'python score.py {model}' --output DIR
      """)

  @OptionGroup(title: "The pair") var models: ModelOptions
  @OptionGroup(title: "The pair") var recipe: RecipeOptions
  @OptionGroup(title: "The alphas") var alphas: AlphaOptions
  @OptionGroup(title: "Scoring") var scoring: ScoreOptions
  @OptionGroup(title: "The output") var target: SearchTarget
  @OptionGroup(title: "Running") var running: RunOptions
  @OptionGroup(title: "Printing") var console: Console

  func run() throws {
    try console.reporting { () throws(Failure) in
      let wanted = try alphas.list()
      // First, so that its guard has nothing of what comes later.
      let runner = try CommandRunner()
      let display = ProgressDisplay(console: console)
      let cancellation = Cancellation()
      Signals.take(cancelling: cancellation)
      let plan = try PairOptions.plan(sft: models.sft, aligned: models.aligned, recipe.recipe(alphas: [wanted.first { $0 != 0 } ?? 0]))
      for alpha in wanted {
        let problems = try recipe.recipe(alphas: [alpha]).problems()
        guard problems.isEmpty else { throw Failure(.badRecipe, problems) }
      }
      guard !cancellation.isCancelled else {
        throw Failure(.interrupted, Problem(.interrupted, "stopped before anything was merged", remedy: "run the same command again"))
      }
      console.warn(plan.aligned.warnings + plan.sft.warnings + plan.skippedWarnings)
      let folder = try SearchFolder(
        FilePath(target.output), identity: identity(plan), inputs: [plan.aligned.folder, plan.sft.folder], restarts: target.restart,
        version: expomergeVersion)
      console.warn(folder.warnings)
      var options = MergeJob.Options()
      options.sync = target.sync
      let merges = CandidateMerges(
        plan: plan, recipe: recipe.recipe, options: options,
        command: { alphas in
          // Of several, each is made in a folder of its own beneath the output.
          let output = alphas.count == 1 ? folder.kept(alphas[0]) : folder.path
          let words = ["--alpha", alphas.map { "\($0)" }.joined(separator: ",")] + recipe.commandLine + ["--output", output.string]
          return (["expomerge", "merge"] + models.commandLine + words).map(shellQuoted).joined(separator: " ")
        }, context: { running.context(display, cancellation: cancellation) })
      let scores = ScoreBatch(
        runner: runner, command: scoring.command, folder: folder, jobs: scoring.scoreJobs, timeLimit: scoring.scoreTimeout,
        cancellation: cancellation)
      let search = SearchRun(
        merges: merges, folder: folder, scores: scores,
        settings: .init(
          alphas: wanted, keep: target.keep, lowerIsBetter: scoring.lowerIsBetter, refinement: alphas.refinement,
          candidateLimit: alphas.maxCandidates),
        diskBudget: target.diskBudget?.bytes, retriesFailed: scoring.retryFailed, display: display, console: console)
      do throws(Failure) {
        let (ranking, kept) = try search.run()
        SearchSummary(ranking: ranking, kept: kept, folder: folder, width: ProgressDisplay.columns(of: 1)).show(console)
      } catch {
        display.finish()
        throw error.problems.contains { $0.code == .interrupted } ? Self.interruption(folder) : error
      }
    }
  }

  private static func interruption(_ folder: SearchFolder) -> Failure {
    Failure(
      .interrupted,
      Problem(
        .interrupted, "stopped: the scores so far and the checkpoints that were begun are left", file: folder.path.string,
        remedy: "run the same command to go on, or discard what is there with --restart"))
  }

  /// What the scores are made of. Companions are read whole; of weights it is what tells one model from another.
  private func identity(_ plan: Plan) throws(Failure) -> SearchIdentity {
    var inputs: [String: String] = [:]
    for (side, checkpoint) in [("aligned", plan.aligned), ("sft", plan.sft)] {
      let files = try InputFiles(of: checkpoint)
      for (index, file) in checkpoint.files.enumerated() {
        let print = try InputFingerprint(of: files.files[index], as: file)
        inputs["\(side)/\(file.name)"] = "\(print.bytes) \(print.header) \(print.pages)"
      }
    }
    for companion in plan.aligned.companions {
      let bytes = try File.contents(of: plan.aligned.folder.pushing(FilePath(companion.path)), limit: 1 << 30)
      inputs["aligned/\(companion.path)"] = "\(bytes.withUnsafeBytes { XXH3.digest(of: $0) })"
    }
    return SearchIdentity(
      inputs: inputs, recipe: recipe.commandLine.map(shellQuoted).joined(separator: " "), scoreCommand: scoring.scoreCommand)
  }
}
