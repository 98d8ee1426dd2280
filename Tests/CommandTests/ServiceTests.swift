import Foundation
import SystemPackage
import TestSupport
import Testing

/// Daemons under a service manager, which the test stands in for.
@Suite("Under a service manager", .timeLimit(.minutes(10))) struct ServiceTests {
  let folder = TemporaryFolder()

  /// What a daemon says until it has said something with `words`.
  private func listen(_ listener: NotifyListener, _ daemon: Daemon, for words: String) throws -> [String] {
    var lines: [String] = []
    _ = poll(for: "\(words) after \(lines)", while: { daemon.process.isRunning }) {
      while let message = listener.receive() { lines += message.split(separator: "\n").map(String.init) }
      return lines.contains { $0.contains(words) } ? () : nil
    }
    return lines
  }

  @Test("a coordinator says when it is ready, what it does, that it lives, and that it ends")
  func coordinator() throws {
    let name = folder("notify").string
    let listener = NotifyListener(name)
    let cluster = try TestCluster(folder.path, environment: ["NOTIFY_SOCKET": name, "WATCHDOG_USEC": "400000"])
    let started = try listen(listener, cluster.coordinator, for: "READY=1")
    #expect(started.prefix(2) == ["READY=1", "STATUS=0 jobs, 0 workers"])
    #expect(try !listen(listener, cluster.coordinator, for: "WATCHDOG=1").isEmpty)
    let worker = try cluster.worker("w", roots: [])
    #expect(try !listen(listener, cluster.coordinator, for: "STATUS=0 jobs, 1 worker").isEmpty)
    cluster.coordinator.signal(SIGHUP)
    let reloaded = try listen(listener, cluster.coordinator, for: "READY=1").map { $0.prefix { $0 != "=" } }
    #expect(reloaded.filter { $0 != "WATCHDOG" && $0 != "STATUS" } == ["RELOADING", "MONOTONIC_USEC", "READY"])
    #expect(cluster.coordinator.waitFor("reading the authorized keys again") != nil)
    #expect(worker.terminate() == 0)
    #expect(cluster.coordinator.terminate() == 0)
    var last: [String] = []
    while let message = listener.receive() { last.append(message) }
    #expect(last.contains("STOPPING=1\nSTATUS=ending (SIGTERM)"))
  }

  @Test("SIGHUP reads the settings again: the log's level and the rate count at once, the rest is named, and what is wrong changes nothing")
  func settings() throws {
    folder.write("log-level: info\nlimit-rate: 1MB\n", to: "worker.yaml")
    let worker = try Daemon(["worker", "--coordinator", "tcp://127.0.0.1:1", "--config", "worker.yaml"], in: folder.path)
    #expect(worker.waitFor("connecting to") != nil)
    folder.write("log-level: debug\nlimit-rate: 2MB\nname: other\n", to: "worker.yaml")
    worker.signal(SIGHUP)
    #expect(worker.waitFor("log-level is debug now") != nil)
    #expect(worker.waitFor("limit-rate is 2MB now") != nil)
    #expect(worker.waitFor("name was changed, which takes effect at the next start") != nil)
    folder.write("log-level: debug\nlimt-rate: 2MB\n", to: "worker.yaml")
    worker.signal(SIGHUP)
    #expect(worker.waitFor("the settings stay as they are")?.contains("limit-rate") == true)
    #expect(worker.terminate() == 0)
  }

  @Test("a worker that would take hours at its rate is let go by SIGHUP")
  func rate() throws {
    #expect(try Tool(folder: folder.path)("sample", "--shape", "tiny", "--output", "pair").status == 0)
    let cluster = try TestCluster(folder.path)
    folder.write("limit-rate: 10B\n", to: "worker.yaml")
    let worker = try cluster.worker("w1", roots: ["/"], more: ["--config", folder("worker.yaml").string])
    #expect(worker.waitFor("joined") != nil)
    #expect(try cluster.submit("out").status == 0)
    try cluster.wait(for: "running")
    folder.write("", to: "worker.yaml")
    worker.signal(SIGHUP)
    #expect(worker.waitFor("limit-rate is the default now") != nil)
    #expect(try cluster.wait(for: "complete") == "complete")
    #expect(worker.terminate() == 0)
    #expect(cluster.coordinator.terminate() == 0)
  }

  @Test("a worker is ready without its coordinator, and says what it waits for")
  func worker() throws {
    let name = "@expomerge-test-\(UUID().uuidString)"
    let listener = NotifyListener(name)
    let worker = try Daemon(
      ["worker", "--coordinator", "tcp://127.0.0.1:1"], in: folder.path, environment: ["NOTIFY_SOCKET": name, "WATCHDOG_USEC": "400000"])
    #expect(try listen(listener, worker, for: "READY=1").first == "READY=1")
    #expect(try !listen(listener, worker, for: "WATCHDOG=1").isEmpty)
    #expect(worker.terminate() == 0)
    var last: [String] = []
    while let message = listener.receive() { last.append(message) }
    #expect(last.contains("STOPPING=1\nSTATUS=ending (SIGTERM)"))
  }
}
