import ArgumentParser
import Checkpoint
import Coordinator
import Deltas
import Diagnostics
import Figures
import Kernels
import Planning
import SystemPackage
import Transport

struct MergeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "merge", abstract: "Merge a pair of checkpoints into a new one.",
    discussion: """
      Works in OUTPUT.partial and renames it to OUTPUT when everything is checked and, with --sync full, on the disk. \
      Stopped or crashed, it goes on where it was when the same command is run again: shards that were done are read \
      back, and what does not match is computed again.
      """)

  @OptionGroup(title: "The pair") var pair: PairOptions

  @OptionGroup(title: "The output") var target: OutputOptions

  @Option(help: ArgumentHelp("When going on: none reads back all that was done, synced only what was not yet on the disk.", valueName: "what"))
  var resumeTrust = ResumeTrust.none

  @Option(help: ArgumentHelp("Let workers of other nodes join at this address, as in tcp://*:5755.", valueName: "address"))
  var listen: String?

  @Option(help: ArgumentHelp("Where slices are streamed to them. Default: the next port.", valueName: "address"))
  var listenData: String?

  @Option(help: ArgumentHelp("Bytes of output a second at most that this process computes, as in 200MB.", valueName: "size"))
  var limitRate: ByteSize?

  @OptionGroup(title: "Keys of those that join") var access: ListenKeyOptions
  @OptionGroup(title: "Running") var running: RunOptions
  @OptionGroup(title: "Logging") var log: LogOptions
  @OptionGroup(title: "Printing") var console: Console

  private var output: String { target.output }

  func validate() throws {
    if listenData != nil && listen == nil { throw ValidationError("--listen-data goes with --listen.") }
    if (access.keys != nil || access.insecure) && listen == nil { throw ValidationError("--keys and --insecure go with --listen.") }
    if let limitRate, limitRate.bytes < 1 { throw ValidationError("--limit-rate must be at least 1.") }
  }

  func run() throws {
    try console.reporting { () throws(Failure) in
      var company = MergeJob.Company()
      company.listen = try listen.map { (text) throws(Failure) in try Endpoint(text) }
      company.listenData = try company.listen?.dataEndpoint(listenData)
      company.rateLimit = limitRate?.bytes
      if let endpoint = company.listen {
        company.security = try access.security(listeningAt: endpoint, command: "merge")
        if !endpoint.isLocal && company.security == nil {
          console.warn([Problem(.keysMissing, ListenKeyOptions.insecureWarning(endpoint))])
        }
      }
      let display = ProgressDisplay(console: console)
      let cancellation = Cancellation()
      Signals.take(cancelling: cancellation)
      let plan = try pair.plan()
      guard !cancellation.isCancelled else {
        throw Failure(.interrupted, Problem(.interrupted, "stopped before anything was merged", remedy: "run the same command again"))
      }
      let context = running.context(display, cancellation: cancellation)

      console.warn(plan.aligned.warnings + plan.sft.warnings + plan.skippedWarnings)
      var options = MergeJob.Options()
      options.sync = target.sync
      options.sha256 = target.sha256
      options.trustsSynced = resumeTrust == .synced
      options.permissions = .init(overwrite: target.overwrite, restart: target.restart)
      options.command = (["expomerge", "merge"] + pair.commandLine + ["--output", output]).map(shellQuoted)
        .joined(separator: " ")
      if listen != nil && !console.quiet { company.logger = log.logger("merge") }
      let start = ProgressDisplay.now()
      let outcome: MergeJob.Outcome
      do throws(Failure) {
        let look = try QuickLook.estimate(plan, context)
        display.finish()
        console.warn(DeltaJudgement.warnings(about: look))
        outcome = try MergeJob(plan: plan, output: FilePath(output), options: options, context: context, company: company).run()
      } catch {
        display.finish()
        // A journal without room ends it with the same exit code, and has its own reason.
        let isStopped = error.problems.contains { $0.code == .interrupted }
        throw isStopped ? interruption(plan, context.progress.snapshot) : error
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
        remedy: "run the same command to go on, or discard what is there with --restart"))
  }
}

/// What is believed to be in the output of an interrupted merge without being read back.
enum ResumeTrust: String, ExpressibleByArgument, CaseIterable {
  case none, synced
}

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
