import Foundation
import SystemPackage
import Testing

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
    try start(arguments, environment: environment).result()
  }

  /// Starts it and does not wait.
  func start(_ arguments: [String], environment: [String: String] = [:]) throws -> Run {
    // Files, not pipes: nobody has to read them while it runs.
    let (output, errors) = (folder.appending(UUID().uuidString), folder.appending(UUID().uuidString))
    let process = try ChildProcess(
      launcher + [Self.executable.path] + arguments, in: folder, environment: environment, output: output, errors: errors)
    return Run(process: process, output: output, errors: errors)
  }

  /// The tool, running.
  struct Run {
    let process: ChildProcess
    fileprivate let output: FilePath
    fileprivate let errors: FilePath

    /// Waits until it has ended; to be called once.
    func result() -> Result {
      let end = process.wait()
      let texts = [output, errors].map { file in
        defer { unlink(file.string) }
        return (try? String(contentsOfFile: file.string, encoding: .utf8)) ?? ""
      }
      return Result(status: end.status, signal: end.signal, output: texts[0], errors: texts[1])
    }
  }
}
