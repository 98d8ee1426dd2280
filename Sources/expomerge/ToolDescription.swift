import ArgumentParser
import FoundationEssentials

/// The commands and their options, as the argument parser itself tells them.
struct ToolDescription: Decodable {
  struct Command: Decodable {
    let commandName: String
    let abstract: String?
    let discussion: String?
    let shouldDisplay: Bool?
    let subcommands: [Command]?
    let arguments: [Argument]?
  }

  struct Argument: Decodable {
    enum Kind: String, Decodable {
      case positional, option, flag
    }

    struct Name: Decodable {
      let kind: String
      let name: String

      var text: String { kind == "long" ? "--\(name)" : "-\(name)" }
    }

    let kind: Kind
    let shouldDisplay: Bool
    let sectionTitle: String?
    let isOptional: Bool
    let isRepeating: Bool
    let names: [Name]?
    let preferredName: Name?
    let valueName: String?
    let defaultValue: String?
    let allValues: [String]?
    let abstract: String?

    var longName: String? { names?.first { $0.kind == "long" }?.name }
  }

  let command: Command

  /// Of `expomerge`.
  static var all: Command {
    let json = Expomerge._dumpHelp()
    guard let description = try? JSONDecoder().decode(Self.self, from: Data(json.utf8)) else {
      preconditionFailure("the argument parser describes the commands otherwise than it did")
    }
    return description.command
  }

  static func command(_ name: String) -> Command? { all.subcommands?.first { $0.commandName == name } }
}
