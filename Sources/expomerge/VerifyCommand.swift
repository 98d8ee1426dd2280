import ArgumentParser
import Checkpoint
import Coordinator
import Diagnostics
import Figures
import SystemPackage
import Wire

struct VerifyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify", abstract: "Check a merged checkpoint against its manifest.",
    discussion: """
      Reads every shard and compares its digest. With --recompute the shards are computed again from the inputs, \
      wherever the manifest says that they are. With --coordinator its workers do both, side by side; paths are then \
      those of the coordinator's machine.
      """)

  @Argument(help: ArgumentHelp("A folder that merge has written.", valueName: "dir"), completion: .directory)
  var folder: String

  @Flag(help: "Compute shards again from the inputs.")
  var recompute = false

  @Option(help: ArgumentHelp("How many shards to compute again, picked at random; all by default.", valueName: "n"))
  var sample: Int?

  @Option(help: ArgumentHelp("Where sft is now, if it was moved.", valueName: "dir"), completion: .directory)
  var sft: String?

  @Option(help: ArgumentHelp("Where aligned is now, if it was moved.", valueName: "dir"), completion: .directory)
  var aligned: String?

  @Flag(name: .customLong("sha256"), help: "Compare SHA-256 digests too.")
  var sha256 = false

  @OptionGroup(title: "Running") var running: RunOptions
  @OptionGroup(title: "Workers of a coordinator") var client: ClientOptions
  @OptionGroup(title: "Printing") var console: Console

  func validate() throws {
    if let sample, sample < 1 { throw ValidationError("--sample must be at least 1.") }
    if !recompute && (sample != nil || sft != nil || aligned != nil) {
      throw ValidationError("--sample, --sft and --aligned go with --recompute.")
    }
    if client.coordinator != nil && (!recompute || sha256) {
      throw ValidationError("--coordinator goes with --recompute, and not with --sha256.")
    }
  }

  func run() throws {
    try console.reporting { () throws(Failure) in
      if client.coordinator != nil { return try verifyThere() }
      let display = ProgressDisplay(console: console)
      let cancellation = Cancellation()
      Signals.take(cancelling: cancellation)
      let context = running.context(display, cancellation: cancellation)
      let folders = try Manifest.folders(in: FilePath(folder))
      for each in folders.isEmpty ? [FilePath(folder)] : folders {
        if folders.count > 1 { console.result(each.string) }
        try verify(each, context, display)
      }
    }
  }

  private func verify(_ folder: FilePath, _ context: RunContext, _ display: ProgressDisplay) throws(Failure) {
    let verification = try Verification(folder, context: context)
    try check(display, "digests") { () throws(Failure) in try verification.checkDigests() }
    if sha256 {
      try check(display, "SHA-256") { () throws(Failure) in try verification.checkSHA256() }
    }
    if recompute {
      try check(display, "recomputed") { () throws(Failure) in
        try verification.recompute(
          aligned: Self.path(aligned), sft: Self.path(sft), sample: sample)
      }
    }
  }

  private static func path(_ model: String?) throws(Failure) -> FilePath? {
    guard let model else { return nil }
    return try ModelReference(model).path()
  }

  private func verifyThere() throws(Failure) {
    let request = ClientRequest.Verify(
      folder: absolute(folder), aligned: aligned.map { absoluteModel($0) }, sft: sft.map { absoluteModel($0) }, sample: sample)
    try JobWatch.start(.verify(request), client.client(), waits: true, console)
  }

  private func check(
    _ display: ProgressDisplay, _ name: String, _ work: () throws(Failure) -> Verification.Report
  ) throws(Failure) {
    let start = ProgressDisplay.now()
    defer { display.finish() }
    let report = try work()
    display.finish()
    let seconds = ProgressDisplay.now() - start
    console.emit(
      Message(
        check: name, shards: report.shards, bytes: report.bytes, problems: report.problems.count, seconds: seconds))
    guard report.problems.isEmpty else { throw Failure(.badData, report.problems) }
    let what = report.shards > 0 ? "\(Format.plural(report.shards, "shard")), " : ""
    console.result(
      "\(Format.padded(name, 10)) ok: \(what)\(Format.bytes(report.bytes)) in \(decimal(seconds, 2)) s (\(Format.rate(Double(report.bytes) / seconds)))"
    )
  }

  private struct Message: Encodable {
    let type = "verified"
    let check: String
    let shards: Int
    let bytes: Int
    let problems: Int
    let seconds: Double
  }
}
