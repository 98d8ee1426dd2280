public import ArgumentParser
import Diagnostics
import FoundationEssentials
public import Keys
import SystemPackage

struct KeygenCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "keygen", abstract: "Make a key for a coordinator, a worker or a person.",
    discussion: """
      Writes DIR/NAME.key_secret, which stays with its owner, and DIR/NAME.key, which a coordinator has in its \
      --authorized folder to let the owner in, or which others have to know the coordinator by. Nothing is ever replaced.
      """)

  @Option(name: [.short, .long], help: ArgumentHelp("The folder for both files; made where it is missing.", valueName: "dir"), completion: .directory)
  var output: String

  @Option(help: ArgumentHelp("What the files are called.", valueName: "name"))
  var name: String

  @Option(
    name: .customLong("role"), parsing: .upToNextOption,
    help: ArgumentHelp("What the owner may do: worker, operator or viewer. None for a coordinator's own key.", valueName: "role"))
  var roles: [Role] = []

  @OptionGroup(title: "Printing") var console: Console

  func validate() throws {
    guard KeyFile.isName(name) else {
      throw ValidationError("--name must be of 1 to 64 letters, digits and . _ @ -, and begin with neither . nor -.")
    }
  }

  func run() throws {
    try console.reporting { () throws(Failure) in
      let roles = Set(roles)
      let metadata = ["name": name, "role": roles.isEmpty ? nil : roles.list].compactMapValues { $0 }
      let certificate = Certificate(SecretKey(), metadata: metadata)
      let pair = try KeyFile.write(
        certificate, to: FilePath(output), name: name, date: Date().formatted(.iso8601.dateTimeSeparator(.space)))
      console.result("Made \(pair.publicFile) and \(pair.secretFile): key \(certificate.publicKey.fingerprint)")
      console.result(nextStep(pair, roles))
      console.emit(
        Message(
          name: name, fingerprint: certificate.publicKey.fingerprint, publicKey: certificate.publicKey.z85,
          publicFile: pair.publicFile.string, secretFile: pair.secretFile.string,
          roles: Role.allCases.filter(roles.contains).map(\.rawValue)))
    }
  }

  private func nextStep(_ pair: KeyFile.Pair, _ roles: Set<Role>) -> String {
    if roles.isEmpty {
      return "Start the coordinator with --keys \(pair.secretFile), and copy \(pair.publicFile) to workers and people, for their --server-key."
    }
    return
      "Copy \(pair.publicFile) to the coordinator's --authorized folder, where its role counts (\(roles.list)), and keep \(pair.secretFile) to yourself, for --keys."
  }

  private struct Message: Encodable {
    let type = "key"
    let name: String
    let fingerprint: String
    let publicKey: String
    let publicFile: String
    let secretFile: String
    let roles: [String]
  }
}

extension Role: ExpressibleByArgument {}
