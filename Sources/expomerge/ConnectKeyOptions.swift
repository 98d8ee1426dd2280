import ArgumentParser
import Diagnostics
import Glibc
import Keys
import SystemPackage
import Transport

/// What a worker or a command shows a coordinator that has keys.
struct ConnectKeyOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp("Your own key: NAME.key_secret, or a folder with one. Default: $EXPOMERGE_KEYS.", valueName: "file"), completion: .file())
  var keys: String?

  @Option(
    help: ArgumentHelp(
      "The coordinator's public key: its NAME.key, or the key itself. Default: $EXPOMERGE_SERVER_KEY.", valueName: "file-or-key"), completion: .file())
  var serverKey: String?

  /// - Returns: nil for a coordinator without keys.
  /// - Throws: `usage` where one of the two is missing.
  func credentials() throws(Failure) -> Credentials? {
    switch (keys ?? Self.variable("EXPOMERGE_KEYS"), serverKey ?? Self.variable("EXPOMERGE_SERVER_KEY")) {
    case (nil, nil): return nil
    case (let keys?, let serverKey?):
      let (server, own) = try both(
        { () throws(Failure) in try from("server-key", isTyped: self.serverKey != nil) { () throws(Failure) in try KeyFile.publicKey(serverKey) } },
        { () throws(Failure) in try from("keys", isTyped: self.keys != nil) { () throws(Failure) in try KeyFile.secretKey(FilePath(keys)) } })
      return Credentials(server: server, own: own)
    case (nil, _?), (_?, nil):
      throw Failure(
        .usage,
        Problem(
          .keysMissing, "of --keys and --server-key one is missing",
          remedy: "give your NAME.key_secret as --keys, and the coordinator's NAME.key as --server-key"))
    }
  }

  private static func variable(_ name: String) -> String? {
    guard let value = getenv(name), value[0] != 0 else { return nil }
    return String(cString: value)
  }
}
