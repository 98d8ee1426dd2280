import Diagnostics
import FileIO
import FoundationEssentials
import Recipes
import SystemPackage

/// Puts what the environment and a configuration file say into the command line of a daemon.
enum DaemonArguments {
  static let commands: Set = ["coordinator", "worker"]

  /// That say nothing about options, or are for other processes than daemons.
  private static let otherVariables: Set = ["EXPOMERGE_CPU_LEVEL", "EXPOMERGE_CRASH_AT", "EXPOMERGE_CONFIG"]
  private static let prefixesOfTests = ["EXPOMERGE_FUZZ", "EXPOMERGE_SEED", "EXPOMERGE_TEST"]

  /// Those that ask about the command, or about its configuration, and are no part of it.
  private static let unsettable: Set = ["help", "version", "config", "check-config"]

  /// Whether a daemon is to be started, or its configuration looked at.
  ///
  /// - Parameter arguments: without the program's name.
  static func areOfDaemon(_ arguments: [String]) -> Bool {
    arguments.first.map(commands.contains) == true && !asksForHelp(arguments)
  }

  /// What a daemon's command line, environment and file say together.
  static func configuration(_ arguments: [String]) throws(Failure) -> Configuration {
    let (command, typed) = (arguments[0], Array(arguments.dropFirst()))
    let options = options(of: command)
    var environment = ProcessInfo.processInfo.environment
    let path = file(in: typed, environment)
    for name in environment.keys where prefixesOfTests.contains(where: name.hasPrefix) { environment[name] = nil }
    // One environment may be for all daemons, and for commands.
    let others = commands.flatMap { self.options(of: $0).map(\.variable) }
    return try Configuration(
      options: options, typed: typed, environment: environment, file: path.map { (path) throws(Failure) in try read(path, options) },
      otherVariables: otherVariables.union(others))
  }

  static func options(of command: String) -> [SettableOption] {
    (ToolDescription.command(command)?.arguments ?? []).compactMap { argument in
      guard let name = argument.longName, !unsettable.contains(name) else { return nil }
      return SettableOption(name, argument.kind == .flag ? .flag : argument.isRepeating ? .list : .value)
    }
  }

  /// Where the value of a daemon's option is said; nil in other commands.
  static func origin(of name: String) -> String? {
    let arguments = Array(CommandLine.arguments.dropFirst())
    guard areOfDaemon(arguments), let setting = try? configuration(arguments).settings.first(where: { $0.option.name == name })
    else { return nil }
    return setting.source == .commandLine ? "--\(name)" : "\(setting.source)"
  }

  /// What the value of an option should be.
  static func help(_ name: String, of command: String) -> String? {
    guard let argument = ToolDescription.command(command)?.arguments?.first(where: { $0.longName == name }) else { return nil }
    if let all = argument.allValues, !all.isEmpty { return "choose one of \(all.joined(separator: ", "))" }
    let abstract = argument.abstract.map { $0.hasSuffix(".") ? String($0.dropLast()) : $0 }
    return abstract.map { "expected is <\(argument.valueName ?? name)>: \($0)" }
  }

  private static func asksForHelp(_ arguments: [String]) -> Bool {
    arguments.contains { ["-h", "--help", "-help", "--help-hidden", "--version", "--experimental-dump-help"].contains($0) }
  }

  private static func file(in typed: [String], _ environment: [String: String]) -> String? {
    // Of several the last, as of other options.
    var path = environment["EXPOMERGE_CONFIG"].flatMap { $0.isEmpty ? nil : $0 }
    for (index, word) in typed.enumerated() {
      if word == "--" { break }
      if word == "--config", index + 1 < typed.count { path = typed[index + 1] }
      if word.hasPrefix("--config=") { path = String(word.dropFirst("--config=".count)) }
    }
    return path
  }

  private static func read(_ path: String, _ options: [SettableOption]) throws(Failure) -> ConfigurationFile {
    guard let text = String(validating: try File.contents(of: FilePath(path), limit: 1 << 20), as: UTF8.self) else {
      throw Failure(.badRecipe, Problem(.configurationInvalid, "is not text in UTF-8", file: path))
    }
    return try ConfigurationFile(text, file: path, options: options)
  }
}
