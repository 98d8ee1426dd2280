public import ArgumentParser
import Checkpoint
import Diagnostics
import Glibc
import SystemPackage
import Transport
public import Wire

/// Which coordinator a command talks to.
struct ClientOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The coordinator's address. Default: $EXPOMERGE_COORDINATOR, or tcp://127.0.0.1:5755.", valueName: "address"))
  var coordinator: String?

  @Option(help: ArgumentHelp("Seconds until an answer.", valueName: "seconds"))
  var timeout = 10

  @OptionGroup var keys: ConnectKeyOptions

  func validate() throws {
    if !(1...86_400).contains(timeout) { throw ValidationError("--timeout must be from 1 to 86400.") }
  }

  /// Whether somebody says which, or it is the usual one.
  var isNamed: Bool { coordinator != nil || Self.variable != nil }

  var address: String {
    if let coordinator { return coordinator }
    return Self.variable ?? "tcp://127.0.0.1:\(Endpoint.defaultPort)"
  }

  /// An empty one says nothing.
  private static var variable: String? { getenv("EXPOMERGE_COORDINATOR").map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 } }

  func client() throws(Failure) -> Client {
    try Client(Endpoint(address), credentials: keys.credentials(), timeout: timeout * 1000)
  }

  /// Asks, and takes a refusal for a failure.
  func ask(_ question: ClientRequest) throws(Failure) -> ClientReply {
    try client().askOrThrow(question)
  }
}

extension Client {
  func askOrThrow(_ question: ClientRequest) throws(Failure) -> ClientReply {
    let reply = try ask(question)
    if case .error(let report) = reply { throw report.failure }
    return reply
  }

  func status(of job: JobID?) throws(Failure) -> Status {
    guard case .status(let status) = try askOrThrow(.status(.init(job: job))) else {
      throw Failure(.unavailable, Problem(.init("answer-unexpected"), "the coordinator answered something else"))
    }
    return status
  }
}

extension JobID: ExpressibleByArgument {
  public init?(argument: String) {
    guard let number = Int(argument), number > 0 else { return nil }
    self.init(number)
  }
}

/// A checkpoint as a coordinator can find it: what a model hub has is looked for there.
func absoluteModel(_ text: String) -> String { ModelReference(text).isOfHub ? text : absolute(text) }

/// A path that another process can use; relative ones are taken from the current folder.
func absolute(_ path: String) -> String {
  let path = FilePath(path)
  if path.isAbsolute { return path.string }
  guard let current = getcwd(nil, 0) else { return path.string }
  defer { free(current) }
  return FilePath(platformString: current).pushing(path).lexicallyNormalized().string
}
