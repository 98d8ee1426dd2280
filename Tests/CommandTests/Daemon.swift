import Foundation
import SystemPackage
import Testing

/// A coordinator or worker as a process of its own, with its log.
final class Daemon: Sendable {
  let process: ChildProcess
  private let log: FilePath

  init(
    _ arguments: [String], in folder: FilePath, environment: [String: String] = [:], launcher: [String] = []
  ) throws {
    log = folder.appending("\(arguments[0])-\(UUID().uuidString).log")
    process = try ChildProcess(
      launcher + [Tool.executable.path] + arguments, in: folder, environment: environment, errors: log)
  }

  var text: String { (try? String(contentsOfFile: log.string, encoding: .utf8)) ?? "" }

  /// Waits until the log has a line with `words`.
  func waitFor(_ words: String, sourceLocation: SourceLocation = #_sourceLocation) -> String? {
    poll(for: "'\(words)' in the log of process \(process.id):\n\(text)", while: { process.isRunning }, sourceLocation: sourceLocation) {
      text.split(separator: "\n").first { $0.contains(words) }.map(String.init)
    }
  }

  /// Waits until the process has ended by itself.
  ///
  /// - Returns: the signal that ended it.
  func waitForEnd() -> Int32? { process.wait().signal }

  /// SIGKILL.
  func kill() { process.kill() }

  /// SIGTERM.
  ///
  /// - Returns: the exit status.
  func terminate() -> Int32 {
    process.signal(SIGTERM)
    return process.wait().status
  }

  func signal(_ number: Int32) {
    process.signal(number)
  }
}

/// A coordinator on a port of its own.
struct TestCluster {
  let tool: Tool
  let coordinator: Daemon
  let address: String
  /// Where slices are streamed.
  let dataAddress: String

  /// - Parameters:
  ///   - state: the folder of the coordinator; nil for one in `folder`.
  ///   - environment: of the coordinator.
  ///   - launcher: runs the coordinator.
  ///   - more: options of the coordinator.
  init(
    _ folder: FilePath, state: FilePath? = nil, environment: [String: String] = [:], launcher: [String] = [],
    more: [String] = []
  ) throws {
    tool = Tool(folder: folder)
    while true {
      // Below those that the system gives to others: another life of the coordinator finds them free.
      let port = Int.random(in: 5000..<16_000) * 2
      let (address, dataAddress) = ("tcp://127.0.0.1:\(port)", "tcp://127.0.0.1:\(port + 1)")
      let coordinator = try Daemon(
        ["coordinator", "--listen", address, "--listen-data", dataAddress, "--state", (state ?? folder.appending("state")).string] + more,
        in: folder, environment: environment, launcher: launcher)
      let line = coordinator.waitFor("listens at")
      guard line != nil || !coordinator.text.contains("in use") else { continue }
      (self.coordinator, self.address, self.dataAddress) = (coordinator, address, dataAddress)
      return
    }
  }

  /// Another life of a coordinator that has ended, at the same addresses.
  init(
    after earlier: TestCluster, state: FilePath? = nil, environment: [String: String] = [:], launcher: [String] = []
  ) throws {
    tool = earlier.tool
    (address, dataAddress) = (earlier.address, earlier.dataAddress)
    coordinator = try Daemon(
      [
        "coordinator", "--listen", address, "--listen-data", dataAddress, "--state",
        (state ?? tool.folder.appending("state")).string,
      ], in: tool.folder, environment: environment, launcher: launcher)
    _ = coordinator.waitFor("listens at")
  }

  func worker(
    _ name: String, slots: Int = 1, roots: [String], more: [String] = [], environment: [String: String] = [:]
  ) throws -> Daemon {
    try Daemon(
      ["worker", "--coordinator", address, "--name", name, "--slots", "\(slots)"] + roots.flatMap { ["--root", $0] } + more,
      in: tool.folder, environment: environment)
  }

  func submit(_ output: String, _ more: String...) throws -> Tool.Result {
    try tool.run(submission(output, more))
  }

  func submission(_ output: String, _ more: [String] = []) -> [String] {
    [
      "submit", "--coordinator", address, "--sft", "pair/sft", "--aligned", "pair/aligned", "--alpha", "0.3",
      "--shard-size", "64KiB", "--output", output,
    ] + more
  }

  func status() throws -> [String: Any] {
    try tool("status", "--coordinator", address, "--json").objects.first ?? [:]
  }

  /// Waits until a job is in a state.
  ///
  /// - Returns: the state that it ended in, if another.
  @discardableResult
  func wait(for state: String, job number: Int = 1, sourceLocation: SourceLocation = #_sourceLocation) throws -> String? {
    // Asking costs a process.
    try poll(
      for: "job \(number) to be \(state); the coordinator's log:\n\(coordinator.text)", every: 200_000,
      while: { coordinator.process.isRunning }, sourceLocation: sourceLocation
    ) {
      let current = try job(number)?["state"] as? String ?? ""
      return current == state || ["complete", "failed", "cancelled"].contains(current) ? current : nil
    }
  }

  /// Waits until a worker has something to show in `status`: shards that it has done, or that are "running".
  func wait(forWorker name: String, toHave key: String = "shards", sourceLocation: SourceLocation = #_sourceLocation) throws {
    _ = try poll(
      for: "\(key) of worker \(name); the coordinator's log:\n\(coordinator.text)", while: { coordinator.process.isRunning },
      sourceLocation: sourceLocation
    ) { try (workers()[name]?[key] as? Int ?? 0) > 0 ? () : nil }
  }

  /// What `status --json` says of a job.
  func job(_ number: Int) throws -> [String: Any]? {
    let jobs = try status()["jobs"] as? [[String: Any]] ?? []
    return jobs.first { $0["job"] as? Int == number }
  }

  /// Of workers by name, what `status --json` says.
  func workers() throws -> [String: [String: Any]] {
    let list = try status()["workers"] as? [[String: Any]] ?? []
    return Dictionary(list.map { ($0["name"] as? String ?? "", $0) }) { $1 }
  }
}
