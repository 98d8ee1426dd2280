import ArgumentParser
import Diagnostics
import Planning
import SystemPackage

struct DoctorCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor", abstract: "Look for what could keep merges, coordinators and workers from working here.",
    discussion: """
      Looks at this machine, and at what is named: folders, a coordinator, the models of a merge. In --state and in the \
      folder of --output it makes a file for a moment, to try locks. Ends with 0, or with the exit code of the first problem.
      """)

  @Option(
    name: .customLong("root"),
    help: ArgumentHelp("A folder that a worker or coordinator would have as --root; repeat it for more.", valueName: "dir"),
    completion: .directory)
  var roots: [String] = []

  @Option(help: ArgumentHelp("A folder that a coordinator would have as --state.", valueName: "dir"), completion: .directory)
  var state: String?

  @Option(name: [.short, .long], help: ArgumentHelp("A folder that merge would make.", valueName: "dir"), completion: .directory)
  var output: String?

  @Option(
    help: ArgumentHelp("With --aligned: what would be merged, to see whether there is room for it.", valueName: "model"),
    completion: .directory)
  var sft: String?

  @Option(help: ArgumentHelp("The other model.", valueName: "model"), completion: .directory)
  var aligned: String?

  @Option(parsing: .unconditional, help: ArgumentHelp("As for merge: several alphas make as many checkpoints.", valueName: "alpha"))
  var alpha: PairOptions.AlphaList?

  @Option(help: ArgumentHelp("As for merge: bf16, f16, f32 or f64.", valueName: "dtype"))
  var dtype: RecipeOptions.OutputDType?

  @Option(help: ArgumentHelp("Where the coordinator streams slices, if not at the next port.", valueName: "address"))
  var data: String?

  @OptionGroup(title: "The coordinator") var client: ClientOptions
  @OptionGroup(title: "Printing") var console: Console

  func validate() throws {
    if (sft == nil) != (aligned == nil) { throw ValidationError("--sft and --aligned go together.") }
    if data != nil && client.coordinator == nil { throw ValidationError("--data goes with --coordinator.") }
  }

  func run() throws {
    var examination = Examination()
    examination.examineMachine()
    for root in roots { examination.examineRoot(FilePath(root)) }
    if let state { examination.examineState(FilePath(state)) }
    let plan = examination.plan(sft, aligned, alphas: alpha?.values ?? [0], dtype)
    if let plan { examination.examineDescriptors(plan) }
    if let output { examination.examineOutput(FilePath(output), plan) }
    if client.isNamed { examination.examineCoordinator(client, data: data) }
    for finding in examination.findings { console.emit(finding) }
    for line in console.quiet ? examination.quietLines : examination.lines { console.finding(line) }
    if examination.exitCode != 0 { throw ReportedFailure(exitCode: examination.exitCode) }
  }
}

extension Examination {
  fileprivate mutating func plan(
    _ sft: String?, _ aligned: String?, alphas: [Double], _ dtype: RecipeOptions.OutputDType?
  ) -> Plan? {
    guard let sft, let aligned else { return nil }
    let recipe = Recipe(alphas: alphas, dtype: dtype?.dtype)
    return attempt("models") { () throws(Failure) in try PairOptions.plan(sft: sft, aligned: aligned, recipe) }
  }
}
