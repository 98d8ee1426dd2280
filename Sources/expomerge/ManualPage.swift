/// A command as a page of section 1 of the manual, in the macros of man(7).
struct ManualPage {
  let command: ToolDescription.Command
  /// Of which it is a subcommand; nil for the program's own page.
  let program: String?
  /// All that have a page.
  let commands: [ToolDescription.Command]
  let version: String
  /// As in `2026-01-31`.
  let date: String

  var name: String { program.map { "\($0)-\(command.commandName)" } ?? command.commandName }

  var text: String {
    var lines = [".TH \(Self.escaped(name.uppercased())) 1 \"\(date)\" \"expomerge \(version)\""]
    lines += section("NAME", ["\(Self.escaped(name)) \\- \(Self.escaped(Self.clause(command.abstract ?? "")))"])
    lines += section("SYNOPSIS", synopsis)
    lines += section("DESCRIPTION", paragraphs(command.discussion ?? command.abstract ?? ""))
    if program == nil { lines += section("COMMANDS", commands.flatMap(entry)) }
    lines += options
    lines += section("EXIT STATUS", ManualText.exitCodes.flatMap { tagged("\($0.code)", $0.meaning) })
    lines += section("ENVIRONMENT", ManualText.variables(of: command, program).flatMap { tagged($0.name, $0.meaning) })
    lines += section("FILES", ManualText.files(of: command.commandName).flatMap { tagged($0.name, $0.meaning) })
    lines += section("SEE ALSO", seeAlso)
    return lines.joined(separator: "\n") + "\n"
  }

  // MARK: Sections

  private var synopsis: [String] {
    let words = (program.map { [$0, command.commandName] } ?? [command.commandName]).map(Self.escaped).joined(separator: " ")
    guard program != nil else { return [".B \(words)", ".I command", "[options]"] }
    var lines = [".B \(words)"]
    for argument in shown where !argument.isOptional && argument.kind != .positional {
      lines.append(".BI \(Self.escaped(Self.name(argument))) \" \(Self.escaped(argument.valueName ?? "value"))\"")
    }
    lines.append("[options]")
    for argument in shown where argument.kind == .positional {
      let value = Self.escaped(argument.valueName ?? "value") + (argument.isRepeating ? "..." : "")
      lines.append(argument.isOptional ? ".RI [ \(value) ]" : ".I \(value)")
    }
    return lines
  }

  private func entry(_ command: ToolDescription.Command) -> [String] {
    [".TP", ".BR \(Self.escaped("\(self.name)-\(command.commandName)")) (1)", Self.escaped(command.abstract ?? "")]
  }

  /// By group, those without one first.
  private var options: [String] {
    var groups: [(title: String, arguments: [ToolDescription.Argument])] = []
    for argument in shown {
      let title = argument.sectionTitle ?? ""
      if let index = groups.firstIndex(where: { $0.title == title }) {
        groups[index].arguments.append(argument)
      } else {
        groups.append((title, [argument]))
      }
    }
    let own = groups.filter(\.title.isEmpty) + groups.filter { !$0.title.isEmpty }
    return section(
      "OPTIONS",
      own.flatMap { group in
        (group.title.isEmpty ? [] : [".SS \(Self.escaped(group.title))"]) + group.arguments.flatMap(described)
      })
  }

  private func described(_ argument: ToolDescription.Argument) -> [String] {
    let value = Self.escaped(argument.valueName ?? "value")
    let names = (argument.names ?? []).map { Self.escaped($0.text) }
    let term: String
    switch argument.kind {
    case .positional: term = ".I \(value)"
    case .flag: term = ".B \"\(names.joined(separator: ", "))\""
    case .option: term = ".BI \"\(names.joined(separator: ", ")) \" \(value)"
    }
    var text = argument.abstract ?? ""
    if let usual = argument.defaultValue { text += " Default: \(usual)." }
    return [".TP", term, Self.escaped(text.isEmpty ? "." : text)]
  }

  private var seeAlso: [String] {
    let names = (program.map { [$0] } ?? []) + commands.map { "expomerge-\($0.commandName)" }.filter { $0 != name }
    return names.enumerated().map { index, name in
      ".BR \(Self.escaped(name)) (1)" + (index + 1 < names.count ? "," : "")
    }
  }

  private func section(_ title: String, _ lines: [String]) -> [String] { lines.isEmpty ? [] : [".SH \(title)"] + lines }

  private func tagged(_ term: String, _ text: String) -> [String] { [".TP", ".B \"\(Self.escaped(term))\"", Self.escaped(text)] }

  // MARK: Words

  /// Without those that every command has and that hidden ones have.
  private var shown: [ToolDescription.Argument] { (command.arguments ?? []).filter(\.shouldDisplay) }

  private static func name(_ argument: ToolDescription.Argument) -> String { argument.preferredName?.text ?? "" }

  /// A sentence as what stands behind a name: without its capital and its full stop.
  private static func clause(_ sentence: String) -> String {
    let words = sentence.hasSuffix(".") ? String(sentence.dropLast()) : sentence
    return words.prefix(1).lowercased() + words.dropFirst()
  }

  private func paragraphs(_ text: String) -> [String] {
    var lines: [String] = []
    for paragraph in text.split(separator: "\n") {
      if !lines.isEmpty { lines.append(".PP") }
      lines.append(Self.escaped(String(paragraph)))
    }
    return lines
  }

  /// A text that no macro or escape of roff is read from.
  static func escaped(_ text: String) -> String {
    var result = ""
    for character in text {
      switch character {
      case "\\": result += "\\e"
      case "-": result += "\\-"
      case "'": result += "\\(aq"
      case "`": result += "\\(ga"
      case "^": result += "\\(ha"
      case "~": result += "\\(ti"
      case "\"": result += "\\(dq"
      default: result.append(character)
      }
    }
    return result.hasPrefix(".") ? "\\&" + result : result
  }
}
