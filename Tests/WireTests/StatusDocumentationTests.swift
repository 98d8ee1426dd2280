import Diagnostics
import Foundation
import Testing
import Wire

/// The table of docs/operations.md is what programs read `status --json` by.
@Suite("What status tells programs") struct StatusDocumentationTests {
  /// Members of the table, and those of them that may be missing.
  private static let documented: (all: Set<String>, optional: Set<String>) = {
    let tests = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    let page = (try? String(contentsOf: tests.appending(path: "../docs/operations.md"), encoding: .utf8)) ?? ""
    let section = page.components(separatedBy: "## What status tells programs\n").last?.components(separatedBy: "\n## ").first ?? ""
    var (all, optional): (Set<String>, Set<String>) = ([], [])
    for line in section.split(separator: "\n") where line.hasPrefix("| `") {
      let cell = line.dropFirst(2).components(separatedBy: " |")[0]
      for match in cell.matches(of: /`([A-Za-z.\[\]]+)`(\?)?/) {
        let name = String(match.output.1)
        all.insert(name)
        if match.output.2 != nil { optional.insert(name) }
      }
    }
    return (all, optional)
  }()

  /// Paths of what has a value. Problems, and what has keys that are not members, are values.
  private static func paths(_ value: Any, _ path: String = "") -> Set<String> {
    switch value {
    case let object as [String: Any] where object["code"] == nil && !path.hasSuffix("discarded"):
      object.reduce(into: []) { $0.formUnion(paths($1.value, path.isEmpty ? $1.key : "\(path).\($1.key)")) }
    case let list as [Any]: list.reduce(into: []) { $0.formUnion(paths($1, path + "[]")) }
    default: [path]
    }
  }

  private static func paths(of status: Status) throws -> Set<String> {
    try paths(JSONSerialization.jsonObject(with: JSONEncoder().encode(status)))
  }

  private static let problem = ProblemReport(
    Problem(.init("read-failed"), "cannot be read", file: "f", tensor: "t", byte: 1, remedy: "look"))

  /// - Parameter isFull: with all that may be missing.
  private static func status(isFull: Bool) -> Status {
    var job = Status.Job(
      job: JobID(1), state: .failed, phase: "", priority: 0, aligned: "/a", sft: "/s", output: "/o", alphas: [0.3])
    job.files = [.init(name: "f", bytes: 1, shards: 1, done: 0)]
    (job.problems, job.warnings) = ([problem], [problem])
    if isFull { (job.etaSeconds, job.exitCode) = (1, 74) }
    let access = Status.Worker.JobAccess(
      job: JobID(1), directInputs: 1, streamedInputs: 1, output: .direct, notes: [problem], refusal: isFull ? problem : nil)
    let worker = Status.Worker(
      name: "w", session: SessionID(1), key: isFull ? "k" : nil, host: "h", process: 1, version: "1", level: "portable",
      state: .active, slots: 1, running: 0, queued: 0, shards: 0, bytes: 0, failures: 0, rate: 0, lastSeenSeconds: 0, jobs: [access])
    return Status(
      coordinator: .init(version: "1", host: "h", process: 1, epoch: 1, uptimeSeconds: 1, discarded: ["late": 1]), jobs: [job],
      workers: [worker])
  }

  /// Values that are missing, wherever they are.
  private static func missing(_ value: Any, _ path: String = "status") -> [String] {
    let mirror = Mirror(reflecting: value)
    if mirror.displayStyle == .optional && mirror.children.isEmpty { return [path] }
    return mirror.children.flatMap { missing($0.value, "\(path).\($0.label ?? "")") }
  }

  @Test("the documented members are exactly those that come")
  func members() throws {
    let full = Self.status(isFull: true)
    // Whoever adds a member fills it in here.
    #expect(Self.missing(full) == [])
    #expect(try Self.paths(of: full).union(["type"]) == Self.documented.all)
    #expect(try Self.paths(of: Self.status(isFull: false)).union(["type"]) == Self.documented.all.subtracting(Self.documented.optional))
  }
}
