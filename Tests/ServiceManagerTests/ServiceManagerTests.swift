import Glibc
import ServiceManager
import Testing
import TestSupport

@Suite("The service manager") struct ServiceManagerTests {
  let folder = TemporaryFolder()

  @Test("is told in datagrams, at a path or a name", arguments: [true, false])
  func told(isPath: Bool) throws {
    let name = isPath ? folder("notify").string : "@expomerge-test-\(UInt64.random(in: 0...UInt64.max))"
    let listener = NotifyListener(name)
    let manager = try #require(ServiceManager(environment: ["NOTIFY_SOCKET": name]))
    manager.tell(.ready, .status("2 shards,\n1.2 GB/s"))
    #expect(listener.receive() == "READY=1\nSTATUS=2 shards, 1.2 GB/s")
    manager.tell(.alive)
    #expect(listener.receive() == "WATCHDOG=1")
    manager.tell(.stopping)
    #expect(listener.receive() == "STOPPING=1")
    manager.tell(.reloading)
    let lines = try #require(listener.receive()).split(separator: "\n")
    #expect(lines[0] == "RELOADING=1" && lines[1].hasPrefix("MONOTONIC_USEC=") && UInt64(lines[1].dropFirst(15)) != nil)
    #expect(manager.watchdogSeconds == nil)
  }

  @Test("wants signs of life of this process only")
  func watchdog() {
    let name = ["NOTIFY_SOCKET": "/run/notify"]
    func seconds(_ more: [String: String]) -> Double? { ServiceManager(environment: name.merging(more) { $1 })?.watchdogSeconds }
    #expect(seconds(["WATCHDOG_USEC": "30000000"]) == 30)
    #expect(seconds(["WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "\(getpid())"]) == 30)
    #expect(seconds(["WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"]) == nil)
    #expect(seconds(["WATCHDOG_USEC": "0"]) == nil && seconds(["WATCHDOG_USEC": "soon"]) == nil)
  }

  @Test("is not there without a socket, and its absence harms nobody", arguments: ["", "relative", "/", "@", String(repeating: "/a", count: 60)])
  func absent(name: String) {
    #expect(ServiceManager(environment: ["NOTIFY_SOCKET": name]) == nil)
    #expect(ServiceManager(environment: [:]) == nil)
    ServiceManager(environment: ["NOTIFY_SOCKET": folder("nobody").string])?.tell(.ready)
  }
}
