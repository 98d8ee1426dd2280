import Diagnostics
import FileIO
import Glibc
import Recipes
import SystemPackage

/// What `--check-config` finds, all of it at once, and prints.
struct ConfigurationCheck {
  let command: String
  /// Of options that nothing says, what they are instead of the parser's default.
  var defaults: [String: String] = [:]
  private var failure: Failure?

  /// - Parameter failure: what is known already.
  init(_ command: String, _ failure: Failure? = nil) {
    self.command = command
    self.failure = failure
  }

  /// - Parameter body: reads something that the daemon will need.
  /// - Returns: nil where it cannot.
  @discardableResult
  mutating func attempt<Value>(_ body: () throws(Failure) -> Value) -> Value? {
    do throws(Failure) {
      return try body()
    } catch {
      failure = Failure(failure?.category ?? error.category, (failure?.problems ?? []) + error.problems)
      return nil
    }
  }

  /// Prints what the options are.
  ///
  /// - Throws: the problems.
  func conclude() throws(Failure) {
    let arguments = Array(CommandLine.arguments.dropFirst())
    let configuration = try DaemonArguments.configuration(arguments)
    let parser = ToolDescription.command(command)?.arguments ?? []
    let rows = DaemonArguments.options(of: command).flatMap { option -> [[String]] in
      if let setting = configuration.settings.first(where: { $0.option == option }) {
        let values = setting.values.isEmpty ? ["none"] : setting.values
        return values.enumerated().map { index, value in
          [index == 0 ? option.name : "", printable(value), index == 0 ? "\(setting.source)" : ""]
        }
      }
      let usual = defaults[option.name] ?? parser.first { $0.longName == option.name }?.defaultValue
      return [[option.name, usual ?? (option.kind == .flag ? "false" : "none"), "default"]]
    }
    for line in table(["option", "value", "from"], rows) { print(line) }
    // Before what goes to stderr.
    fflush(nil)
    for warning in configuration.warnings { Console.writeError("warning: \(warning)") }
    if let failure { throw failure }
    print("\n\(command): nothing wrong is found")
  }

  /// Whether a folder is there to write to, or can be made.
  static func writable(_ folder: FilePath, option: String) throws(Failure) {
    guard let kind = try Directories.live.kind(of: folder) else {
      let parent = folder.removingLastComponent()
      guard parent != folder else { return }
      return try writable(parent.isEmpty ? "." : parent, option: option)
    }
    guard kind == .directory else {
      throw Failure(.cannotCreate, Problem(.folderUnusable, "is not a folder", file: folder.string, remedy: "check \(option)"))
    }
    guard access(folder.string, W_OK | X_OK) == 0 else {
      throw Failure(
        .notPermitted,
        Problem(
          .folderUnusable, "cannot be written to: \(String(cString: strerror(errno)))", file: folder.string,
          remedy: "check \(option), and who the daemon runs as"))
    }
  }
}

extension Problem.Code {
  static let folderUnusable = Self("folder-unusable")
}
