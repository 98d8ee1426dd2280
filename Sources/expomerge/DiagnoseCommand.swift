import ArgumentParser
import Checkpoint
import Coordinator
import Deltas
import Diagnostics
import FileIO
import Figures
import Kernels
import Planning
import Report
import SystemPackage
import Threads

struct DiagnoseCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "diagnose", abstract: "Tell what a pair looks like, and whether extrapolation is likely to help.",
    discussion: "Reads a sample of both models and writes nothing but the report that --html asks for.")

  @Option(help: ArgumentHelp("The weaker checkpoint that training started from: a folder, a file, or org/name in the cache of Hugging Face.", valueName: "model"), completion: .file())
  var sft: String

  @Option(help: ArgumentHelp("The checkpoint trained from it by DPO, RLHF or the like.", valueName: "model"), completion: .file())
  var aligned: String

  @Option(help: ArgumentHelp("How much of each tensor is read; small ones are read whole.", valueName: "percent"))
  var sample = Percentage(share: 0.01)

  @Flag(help: "Read everything.")
  var full = false

  @Option(help: ArgumentHelp("Write the report for people to this file.", valueName: "file"), completion: .file())
  var html: String?

  @OptionGroup(title: "Running") var running: RunOptions
  @OptionGroup(title: "Printing") var console: Console

  func run() throws {
    try console.reporting { () throws(Failure) in
      // No alpha: what the pair is like does not depend on it.
      let plan = try PairOptions.plan(sft: sft, aligned: aligned, Recipe(alpha: 0, vocabulary: .overlap))
      let display = ProgressDisplay(console: console)
      let cancellation = Cancellation()
      Signals.take(cancelling: cancellation)
      let survey: DeltaSurvey
      do throws(Failure) {
        survey = try DeltaSurvey(plan, share: full ? 1 : sample.share, running.context(display, cancellation: cancellation))
      } catch {
        display.finish()
        throw error
      }
      display.finish()
      let diagnosis = Diagnosis(plan: plan, survey: survey)
      diagnosis.show(console)
      diagnosis.emit(console)
      console.warn(plan.aligned.warnings + plan.sft.warnings + diagnosis.problems)
      if let html {
        try File.create(FilePath(html)).write(Array(diagnosis.report(sft: sft, aligned: aligned).html.utf8), at: 0)
      }
    }
  }
}

/// A share as people write it: `1%`, or `0.5 %`.
struct Percentage: ExpressibleByArgument {
  let share: Double

  init(share: Double) {
    self.share = share
  }

  init?(argument: String) {
    guard argument.last == "%", let percent = Double(argument.filter { $0 != " " }.dropLast()), percent > 0, percent <= 100
    else { return nil }
    share = percent / 100
  }

  var defaultValueDescription: String { "\(decimal(share * 100, 0))%" }
}
