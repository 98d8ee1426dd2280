import ArgumentParser
import Diagnostics
import Wire

struct WaitCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "wait", abstract: "Wait until a job is over, and show its progress.",
    discussion: "Ends as submit --wait does: with 0 when the job is complete, and with what it failed with otherwise.")

  @Argument(help: ArgumentHelp("The job's number.", valueName: "job"))
  var job: JobID

  @OptionGroup var finish: FinishOptions
  @OptionGroup(title: "The coordinator") var client: ClientOptions
  @OptionGroup(title: "Printing") var console: Console

  func run() throws {
    try console.reporting { () throws(Failure) in
      let client = try client.client()
      // A number that never was a job is told from one that is lost while one waits.
      _ = try client.status(of: job)
      try JobWatch(client: client, job: job, console: console, finish: finish.command(console)).untilOver()
    }
  }
}
