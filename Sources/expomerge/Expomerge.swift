import ArgumentParser
import CLinux
import Coordinator
import Diagnostics
import Glibc
import Recipes

@main
struct Expomerge: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "expomerge",
    abstract: "Merge very large language models by weight extrapolation (ExPO).",
    discussion: """
      out = aligned + alpha * (aligned - sft)

      Start with:  expomerge merge --sft DIR --aligned DIR --alpha 0.3 --output DIR
      """,
    version: expomergeVersion,
    subcommands: [
      MergeCommand.self, SearchCommand.self, PlanCommand.self, DiagnoseCommand.self, InspectCommand.self, VerifyCommand.self, SampleCommand.self,
      CoordinatorCommand.self, WorkerCommand.self, SubmitCommand.self, StatusCommand.self, WaitCommand.self,
      CancelCommand.self, ResumeCommand.self, DrainCommand.self, KeygenCommand.self, DoctorCommand.self,
      GenerateManualCommand.self,
    ])

  /// Exit codes are made here and nowhere else: sysexits(3), as docs/operations.md lists them.
  static func main() {
    // A file that may not grow becomes an error of write(2), not the end of the process.
    signal(SIGXFSZ, SIG_IGN)
    // Ignored, as a parent may have left it, children could not be waited for.
    signal(SIGCHLD, SIG_DFL)
    linux_raise_descriptor_limit()
    do {
      try run(arguments())
      if fflush(nil) != 0 {
        Console.writeError("error: cannot write the results: \(String(cString: strerror(errno)))")
        Glibc.exit(Failure.Category.inputOutput.rawValue)
      }
    } catch let failure as ReportedFailure {
      Glibc.exit(failure.exitCode)
    } catch {
      let code = exitCode(for: error)
      let recipe = RecipeArguments.file(in: Array(CommandLine.arguments.dropFirst()))
      guard !code.isSuccess, CommandLine.arguments.contains("--json") else {
        if let recipe, !code.isSuccess { Console.writeError("note: \(recipe) says some of the options") }
        exit(withError: error)
      }
      var console = Console()
      console.json = true
      console.emit(ProblemMessage("error", Problem(.usage, message(for: error), file: recipe), exitCode: code.rawValue))
      Glibc.exit(code.rawValue)
    }
  }
}

extension Expomerge {
  /// As typed, with what a recipe file says.
  private static func arguments() throws -> [String] {
    var arguments = Array(CommandLine.arguments.dropFirst())
    var console = Console()
    console.json = arguments.contains("--json")
    try console.reporting { () throws(Failure) in
      arguments = try RecipeArguments.expand(arguments)
    }
    return arguments
  }

  private static func run(_ arguments: [String]) throws {
    guard DaemonArguments.areOfDaemon(arguments) else {
      var command = try parseAsRoot(arguments)
      return try command.run()
    }
    var configuration = Configuration.nothing
    try Console.forDaemons.reporting { () throws(Failure) in configuration = try DaemonArguments.configuration(arguments) }
    let isCheck = arguments.contains("--check-config")
    if !isCheck {
      for warning in configuration.warnings { Console.writeError("warning: \(warning)") }
    }
    var (command, failure) = try parse(arguments, configuration, typedAsWell: isCheck)
    guard let failure else {
      try command?.run()
      return
    }
    try Console.forDaemons.reporting { () throws(Failure) in
      guard isCheck, let daemon = command as? any DaemonCommand else { throw failure }
      try daemon.check(failure)
    }
  }

  /// The parser tells one wrong option at a time: without it there may be another.
  ///
  /// - Parameter typedAsWell: whether to go on after wrong options that are typed.
  /// - Returns: the command without the wrong options, and what is wrong with these.
  /// - Throws: what the parser says about anything else.
  private static func parse(
    _ arguments: [String], _ configuration: Configuration, typedAsWell: Bool
  ) throws -> (command: (any ParsableCommand)?, failure: Failure?) {
    var (configuration, typed) = (configuration, Array(arguments.dropFirst()))
    var removed: [Setting] = []
    var failure: Failure?
    while true {
      do {
        return (try parseAsRoot(arguments.prefix(1) + configuration.words + typed), failure)
      } catch {
        let message = message(for: error)
        let blamed = configuration.settings(blamedBy: message, typed: typedAsWell)
        if blamed.isEmpty && failure == nil { throw error }
        // What goes with an option that was removed is missed for that alone.
        if !removed.contains(where: { $0.option.isNamed(in: message) }) {
          var problems = blamed.map { $0.problem(message, help: DaemonArguments.help($0.option.name, of: arguments[0])) }
          if problems.isEmpty { problems = [Problem(.usage, message)] }
          let category: Failure.Category = blamed.contains { $0.source != .commandLine } ? .badRecipe : .usage
          failure = Failure(failure?.category ?? category, (failure?.problems ?? []) + problems)
        }
        if blamed.isEmpty { return (nil, failure) }
        configuration.remove(blamed, typed: &typed)
        removed += blamed
      }
    }
  }
}

extension Problem.Code {
  static let usage = Self("usage")
}

/// A failure that has been shown already.
struct ReportedFailure: Error {
  let exitCode: Int32
}
