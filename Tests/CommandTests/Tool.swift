import Foundation
import SystemPackage

/// Runs the built executable as a process of its own.
struct Tool {
  struct Result {
    let status: Int32
    /// The signal that ended it.
    let signal: Int32?
    let output: String
    let errors: String

    /// The objects of `--json`, one a line.
    var objects: [[String: Any]] {
      output.split(separator: "\n").compactMap {
        try? JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any]
      }
    }
  }

  /// Beside the test bundle.
  static let executable: URL = {
    let bundle = URL(fileURLWithPath: CommandLine.arguments[0])
    return bundle.deletingLastPathComponent().appendingPathComponent("expomerge")
  }()

  let folder: FilePath
  /// A command that runs it, as in `nsenter ...`.
  var launcher: [String] = []

  func callAsFunction(_ arguments: String...) throws -> Result {
    try run(arguments)
  }

  func run(_ arguments: [String], environment: [String: String] = [:]) throws -> Result {
    let (process, finish) = try start(arguments, environment: environment)
    process.waitUntilExit()
    return finish()
  }

  static func prepare(_ process: Process, _ launcher: [String], _ arguments: [String]) {
    let command = launcher + [executable.path] + arguments
    process.executableURL = URL(fileURLWithPath: command[0])
    process.arguments = Array(command.dropFirst())
  }

  /// Starts the process; the closure collects its result after it has ended.
  func start(_ arguments: [String], environment: [String: String] = [:]) throws -> (Process, () -> Result) {
    let process = Process()
    Self.prepare(process, launcher, arguments)
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    process.currentDirectoryURL = URL(fileURLWithPath: folder.string)
    // Files, not pipes: nobody has to read them while it runs.
    let names = [UUID().uuidString, UUID().uuidString].map { folder.appending($0).string }
    for name in names { _ = FileManager.default.createFile(atPath: name, contents: nil) }
    process.standardOutput = FileHandle(forWritingAtPath: names[0])
    process.standardError = FileHandle(forWritingAtPath: names[1])
    process.standardInput = FileHandle.nullDevice
    try process.run()
    return (
      process,
      {
        let texts = names.map { name in
          defer { try? FileManager.default.removeItem(atPath: name) }
          return (try? String(contentsOfFile: name, encoding: .utf8)) ?? ""
        }
        let signal = process.terminationReason == .uncaughtSignal ? process.terminationStatus : nil
        return Result(
          status: process.terminationStatus, signal: signal, output: texts[0], errors: texts[1])
      }
    )
  }
}
