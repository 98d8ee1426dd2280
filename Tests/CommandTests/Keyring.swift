import Foundation
import SystemPackage
import TestSupport
import Testing

/// Keys in `keys/`, the coordinator's among them, and the folder of those that are authorized.
struct Keyring {
  let tool: Tool
  var authorized: FilePath { tool.folder.appending("authorized") }

  init(_ folder: FilePath) throws {
    tool = Tool(folder: folder)
    mkdir(tool.folder.appending("authorized").string, 0o755)
    try make("coordinator")
  }

  /// - Returns: the key's fingerprint.
  @discardableResult
  func make(_ name: String, roles: [String] = []) throws -> String {
    let options = roles.flatMap { ["--role", $0] }
    let made = try tool.run(["keygen", "--json", "--output", "keys", "--name", name] + options)
    #expect(made.status == 0)
    return made.objects.first?["fingerprint"] as? String ?? ""
  }

  /// Makes a key and lets it in.
  ///
  /// - Returns: its fingerprint.
  @discardableResult
  func authorize(_ name: String, _ roles: String...) throws -> String {
    let fingerprint = try make(name, roles: roles)
    let file = tool.folder.appending("keys/\(name).key")
    try FileManager.default.copyItem(atPath: file.string, toPath: authorized.appending("\(name).key").string)
    return fingerprint
  }

  func revoke(_ name: String) { unlink(authorized.appending("\(name).key").string) }

  /// For a coordinator or a merge.
  var listening: [String] { ["--keys", "keys/coordinator.key_secret", "--authorized", "authorized"] }

  /// For a worker or a command.
  func connecting(_ name: String) -> [String] {
    ["--keys", "keys/\(name).key_secret", "--server-key", "keys/coordinator.key"]
  }
}
