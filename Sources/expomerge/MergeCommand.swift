public import ArgumentParser
import Checkpoint
public import Coordinator
import Diagnostics
import Kernels
import Planning
import SystemPackage

struct MergeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "merge", abstract: "Merge a pair of checkpoints into a new one.",
    discussion: """
      Works in OUTPUT.partial and renames it to OUTPUT when everything is checked and, with --sync full, on the disk.
      """)

  @OptionGroup(title: "The pair") var pair: PairOptions

  @Option(name: [.short, .long], help: ArgumentHelp("The folder to make.", valueName: "dir"))
  var output: String

  @Option(help: ArgumentHelp("full: all data is on the disk before OUTPUT appears. none: as after cp.", valueName: "when"))
  var sync = MergeJob.Sync.full

  @Flag(name: .customLong("sha256"), help: "Write SHA256SUMS, for sha256sum -c and to compare with model hubs.")
  var sha256 = false

  @Flag(help: "Replace OUTPUT if it exists.")
  var overwrite = false

  @Flag(help: "Discard what an interrupted merge left in OUTPUT.partial.")
  var restart = false

  @OptionGroup(title: "Running") var running: RunOptions
  @OptionGroup(title: "Printing") var console: Console

  func run() throws {
    try console.reporting { () throws(Failure) in
      let plan = try pair.plan()
      let display = ProgressDisplay(console: console)
      let cancellation = Cancellation()
      let signals = Signals(cancelling: cancellation)
      defer { withExtendedLifetime(signals) {} }
      let context = running.context(display, cancellation: cancellation)

      console.warn(plan.aligned.warnings + plan.sft.warnings + plan.skippedWarnings)
      var options = MergeJob.Options()
      options.sync = sync
      options.sha256 = sha256
      options.permissions = .init(overwrite: overwrite, restart: restart)
      options.command = (["expomerge", "merge"] + pair.commandLine + ["--output", output]).map(shellQuoted)
        .joined(separator: " ")
      let start = ProgressDisplay.now()
      let outcome: MergeJob.Outcome
      do throws(Failure) {
        let look = try QuickLook.estimate(plan, context)
        display.finish()
        console.warn(DeltaJudgement.warnings(about: look, isSample: true))
        outcome = try MergeJob(plan: plan, output: FilePath(output), options: options, context: context).run()
      } catch {
        display.finish()
        throw error.category == .interrupted ? interruption(plan, context.progress.snapshot) : error
      }
      display.finish()
      MergeSummary(plan: plan, outcome: outcome, seconds: ProgressDisplay.now() - start, output: output).show(console)
    }
  }

  private func interruption(_ plan: Plan, _ snapshot: Progress.Snapshot) -> Failure {
    guard snapshot.phase != .preparing else {
      return Failure(.interrupted, Problem(.interrupted, "stopped before anything was written"))
    }
    let done = snapshot.phase == .merging ? snapshot.done : plan.outputBytes
    return Failure(
      .interrupted,
      Problem(
        .interrupted,
        "stopped: \(FilePath(output).lexicallyNormalized().string).partial is left with \(Format.bytes(done)) of \(Format.bytes(plan.outputBytes)) merged; \(output) was not touched",
        remedy: "begin again with --restart, or remove the folder"))
  }
}

extension MergeJob.Sync: ExpressibleByArgument {}

extension Plan {
  var skippedWarnings: [Problem] {
    aligned.skipped.map { file in
      Problem(
        .fileSkipped, "not copied, as it is larger than a companion file should be (\(Format.bytes(file.size)))",
        file: aligned.folder.pushing(FilePath(file.path)).string, remedy: "copy it yourself if the model needs it")
    }
  }
}

extension Problem.Code {
  static let fileSkipped = Self("file-skipped")
}
