import ArgumentParser
import Coordinator
import Diagnostics
import Transport
import Wire

struct SubmitCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "submit", abstract: "Hand a merge to a coordinator.",
    discussion: "Paths are those of the coordinator's machine; relative ones are taken from the current folder. org/name is looked for in the coordinator's cache of Hugging Face.")

  @OptionGroup(title: "The pair") var pair: PairOptions
  @OptionGroup(title: "The output") var output: OutputOptions

  @Option(parsing: .unconditional, help: ArgumentHelp("Jobs of higher priority get workers first.", valueName: "n"))
  var priority = 0

  @Flag(help: "Wait until the job is over, and show its progress.")
  var wait = false

  @OptionGroup var finish: FinishOptions

  @OptionGroup(title: "The coordinator") var client: ClientOptions
  @OptionGroup(title: "Printing") var console: Console

  func run() throws {
    try console.reporting { () throws(Failure) in
      let client = try client.client()
      let submission = ClientRequest.Submission(
        aligned: absoluteModel(pair.aligned), sft: absoluteModel(pair.sft), output: absolute(output.output), recipe: pair.wanted,
        priority: priority, syncsFully: output.sync == .full, sha256: output.sha256, overwrite: output.overwrite,
        restart: output.restart,
        command: (["expomerge", "submit"] + pair.commandLine + ["--output", output.output]).map(shellQuoted)
          .joined(separator: " "))
      try JobWatch.start(.submit(submission), client, waits: wait || finish.onFinish != nil, console, finish: finish.command(console))
    }
  }
}
