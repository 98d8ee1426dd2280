import Foundation
import SystemPackage

/// A coordinator or worker as a process of its own, with its log.
final class Daemon {
  let process = Process()
  private let log: FilePath

  init(
    _ arguments: [String], in folder: FilePath, environment: [String: String] = [:], launcher: [String] = []
  ) throws {
    log = folder.appending("\(arguments[0])-\(UUID().uuidString).log")
    _ = FileManager.default.createFile(atPath: log.string, contents: nil)
    Tool.prepare(process, launcher, arguments)
    process.currentDirectoryURL = URL(fileURLWithPath: folder.string)
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    process.standardError = FileHandle(forWritingAtPath: log.string)
    process.standardOutput = FileHandle.nullDevice
    process.standardInput = FileHandle.nullDevice
    try process.run()
  }

  deinit {
    kill()
  }

  var text: String { (try? String(contentsOfFile: log.string, encoding: .utf8)) ?? "" }

  /// Waits until the log has a line with `words`; the test's time limit ends a wait in vain.
  func waitFor(_ words: String) -> String? {
    while true {
      if let line = text.split(separator: "\n").first(where: { $0.contains(words) }) { return String(line) }
      if !process.isRunning { return nil }
      usleep(10_000)
    }
  }

  /// Waits until the process has ended by itself.
  ///
  /// - Returns: the signal that ended it.
  func waitForEnd() -> Int32? {
    process.waitUntilExit()
    return process.terminationReason == .uncaughtSignal ? process.terminationStatus : nil
  }

  /// SIGKILL.
  func kill() {
    guard process.isRunning else { return }
    Foundation.kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
  }

  /// SIGTERM.
  ///
  /// - Returns: the exit status.
  func terminate() -> Int32 {
    process.terminate()
    process.waitUntilExit()
    return process.terminationStatus
  }

  func signal(_ number: Int32) {
    Foundation.kill(process.processIdentifier, number)
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
  init(
    _ folder: FilePath, state: FilePath? = nil, environment: [String: String] = [:], launcher: [String] = []
  ) throws {
    tool = Tool(folder: folder)
    coordinator = try Daemon(
      ["coordinator", "--listen", "tcp://127.0.0.1:0", "--state", (state ?? folder.appending("state")).string],
      in: folder, environment: environment, launcher: launcher)
    let line = coordinator.waitFor("listens at") ?? ""
    let addresses = line.split(separator: " ").filter { $0.hasPrefix("tcp://") }.map { String($0.dropLast()) }
    (address, dataAddress) = (addresses.first ?? "", addresses.last ?? "")
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

  /// Waits until a job is in a state; the test's time limit ends a wait in vain.
  ///
  /// - Returns: the state that it ended in, if another.
  @discardableResult
  func wait(for state: String, job number: Int = 1) throws -> String? {
    while coordinator.process.isRunning {
      let current = try job(number)?["state"] as? String ?? ""
      if current == state || ["complete", "failed", "cancelled"].contains(current) { return current }
      // Asking costs a process.
      usleep(200_000)
    }
    return nil
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
