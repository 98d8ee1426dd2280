import ArgumentParser
import Coordinator
import Diagnostics
import Search

/// The alphas that a search tries.
struct AlphaOptions: ParsableArguments {
  @Option(parsing: .unconditional, help: ArgumentHelp("The alphas to try, as in 0.1,0.3,0.5.", valueName: "list"))
  var alphas: String?

  @Option(parsing: .unconditional, help: ArgumentHelp("The same as first:last:step, as in 0.1:0.5:0.1.", valueName: "range"))
  var range: String?

  @Flag(help: "After these, try more around the best, by golden section.")
  var refine = false

  @Option(help: ArgumentHelp("How near to the best its neighbours are at the end of --refine.", valueName: "alpha"))
  var tolerance = 0.01

  @Option(help: ArgumentHelp("Alphas to try in all, at most.", valueName: "n"))
  var maxCandidates: Int?

  func validate() throws {
    guard (alphas == nil) != (range == nil) else { throw ValidationError("Give either --alphas or --range.") }
    guard tolerance >= GoldenSection.leastTolerance, tolerance.isFinite else {
      throw ValidationError("--tolerance must be at least \(GoldenSection.leastTolerance).")
    }
    if let maxCandidates, maxCandidates < 1 { throw ValidationError("--max-candidates must be at least 1.") }
  }

  func list() throws(Failure) -> [Double] {
    if let alphas { return try Alphas.list(alphas) }
    return try Alphas.range(range ?? "")
  }

  var refinement: GoldenSection? { refine ? GoldenSection(tolerance: tolerance) : nil }
}

/// How candidates are scored.
struct ScoreOptions: ParsableArguments {
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Prints a checkpoint's score as its last line; {model}, {alpha} and {job}, from 0 below --score-jobs, are filled in.",
      valueName: "command"))
  var scoreCommand: String

  @Flag(help: "The best score is the lowest.")
  var lowerIsBetter = false

  @Option(help: ArgumentHelp("Commands to run at a time.", valueName: "n"))
  var scoreJobs = 1

  @Option(help: ArgumentHelp("How long a command may take, as in 90s, 10m or 2h.", valueName: "time"))
  var scoreTimeout: TimeSpan?

  @Flag(help: "Try alphas again whose command failed in an earlier run.")
  var retryFailed = false

  var command: ScoreCommand { ScoreCommand(scoreCommand) }

  func validate() throws {
    guard command.takesModel else {
      throw ValidationError(
        "--score-command must say where the checkpoint's path goes: write {model}, without quotes, as in 'python score.py {model}'.")
    }
    guard (1...256).contains(scoreJobs) else { throw ValidationError("--score-jobs must be from 1 to 256.") }
  }
}

/// The folder of a search, and what comes to be in it.
struct SearchTarget: ParsableArguments {
  @Option(name: [.short, .long], help: ArgumentHelp("The folder of the search; its best comes to be DIR/best.", valueName: "dir"), completion: .directory)
  var output: String

  @Option(help: ArgumentHelp("Checkpoints to keep, the best.", valueName: "n"))
  var keep = 1

  @Option(help: ArgumentHelp("Disk space for checkpoints at a time. Default: what is free, less a twentieth.", valueName: "size"))
  var diskBudget: ByteSize?

  @Option(help: ArgumentHelp("full: a checkpoint is on the disk before it is scored. none: as after cp.", valueName: "when"))
  var sync = MergeJob.Sync.full

  @Flag(help: "Discard the scores of an earlier search in DIR, and checkpoints of another recipe, and begin again.")
  var restart = false

  func validate() throws {
    guard (1...Alphas.limit).contains(keep) else { throw ValidationError("--keep must be from 1 to \(Alphas.limit).") }
  }
}
