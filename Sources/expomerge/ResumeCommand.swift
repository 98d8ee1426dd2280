import ArgumentParser
import Diagnostics
import Wire

struct ResumeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "resume", abstract: "Go on with a job that was cancelled or has failed.",
    discussion: """
      What was done is read back first, and what does not match is computed again. Jobs that ran when their \
      coordinator ended go on by themselves. An interrupted expomerge merge goes on when it is run again.
      """)

  @Argument(help: ArgumentHelp("The job's number.", valueName: "job"))
  var job: JobID

  @Option(help: ArgumentHelp("none reads back all that was done, synced only what was not yet on the disk.", valueName: "what"))
  var resumeTrust = ResumeTrust.none

  @Flag(help: "Wait until the job is over, and show its progress.")
  var wait = false

  @OptionGroup var finish: FinishOptions
  @OptionGroup(title: "The coordinator") var client: ClientOptions
  @OptionGroup(title: "Printing") var console: Console

  func run() throws {
    try console.reporting { () throws(Failure) in
      let client = try client.client()
      let request = ClientRequest.resume(.init(job: job, trustsSynced: resumeTrust == .synced))
      try JobWatch.start(request, client, waits: wait || finish.onFinish != nil, console, finish: finish.command(console))
    }
  }
}
