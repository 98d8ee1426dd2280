import ArgumentParser
import Diagnostics
import Wire

struct CancelCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "cancel", abstract: "End a job of a coordinator.", discussion: "What it has made stays in OUTPUT.partial.")

  @Argument(help: ArgumentHelp("The job's number.", valueName: "job"))
  var job: JobID

  @OptionGroup(title: "The coordinator") var client: ClientOptions
  @OptionGroup(title: "Printing") var console: Console

  func run() throws {
    try console.reporting { () throws(Failure) in
      try client.request(.cancel(.init(job: job)), console)
    }
  }
}

struct DrainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "drain", abstract: "Let a worker finish what it computes, and end.")

  @Argument(help: ArgumentHelp("The worker's name, or its session.", valueName: "worker"))
  var worker: String

  @OptionGroup(title: "The coordinator") var client: ClientOptions
  @OptionGroup(title: "Printing") var console: Console

  func run() throws {
    try console.reporting { () throws(Failure) in
      try client.request(.drainWorker(.init(worker: worker)), console)
    }
  }
}

extension ClientOptions {
  /// Asks for something to be done, and shows what the coordinator says.
  fileprivate func request(_ question: ClientRequest, _ console: Console) throws(Failure) {
    guard case .done(let done) = try ask(question) else { return }
    console.emit(DoneMessage(message: done.message))
    console.result(done.message)
  }
}

private struct DoneMessage: Encodable {
  let type = "done"
  let message: String
}
