import ArgumentParser
import Coordinator
import Diagnostics
import Keys
import SystemPackage
import Transport

/// Whom a process that listens lets in.
struct ListenKeyOptions: ParsableArguments {
  @Option(help: ArgumentHelp("The coordinator's own key: NAME.key_secret, or a folder with one.", valueName: "file"), completion: .file())
  var keys: String?

  @Option(help: ArgumentHelp("The folder with the NAME.key of each worker and person that is let in; watched for changes.", valueName: "dir"), completion: .directory)
  var authorized: String?

  @Flag(help: "Listen to a network without keys: whoever reaches the ports may do everything, and nothing is encrypted.")
  var insecure = false

  func validate() throws {
    if (keys == nil) != (authorized == nil) { throw ValidationError("--keys and --authorized go together.") }
    if insecure && keys != nil { throw ValidationError("--insecure does not go with --keys.") }
  }

  /// - Parameter command: that listens, for what to do about missing keys.
  /// - Returns: nil where nobody needs a key.
  /// - Throws: `notPermitted` where others than this machine's processes could come in without one.
  func security(listeningAt endpoint: Endpoint, command: String) throws(Failure) -> CoordinatorSecurity? {
    if let keys, let authorized {
      let folder = KeyFolder(FilePath(authorized))
      let (key, _) = try both(
        { () throws(Failure) in try from("keys") { () throws(Failure) in try KeyFile.secretKey(FilePath(keys)) } },
        { () throws(Failure) in try from("authorized") { () throws(Failure) in try folder.check() } })
      return try CoordinatorSecurity(key: key, folder: folder)
    }
    guard endpoint.isLocal || insecure else {
      throw Failure(
        .notPermitted,
        Problem(
          .keysMissing, "\(endpoint) can be reached from other machines, and there are no keys",
          remedy:
            "make some with 'expomerge keygen --output keys --name coordinator && mkdir authorized', and listen with 'expomerge \(command) ... --keys keys/coordinator.key_secret --authorized authorized'; or, where everybody is trusted, with --insecure"
        ))
    }
    return nil
  }

  static func insecureWarning(_ endpoint: Endpoint) -> String {
    "no keys: whoever reaches \(endpoint) can submit merges and read their inputs; keep it in a trusted network"
  }
}

extension Problem.Code {
  static let keysMissing = Self("keys-missing")
}
