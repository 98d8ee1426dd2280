import Foundation
import Glibc
import SystemPackage
import TestSupport
import Testing

/// What daemons show over HTTP.
@Suite("Over HTTP", .timeLimit(.minutes(10))) struct StatusPageTests {
  let folder = TemporaryFolder()

  /// An answer's status, headers and body.
  struct Answer {
    var status = 0
    var headers: [String: String] = [:]
    var body = ""
  }

  func port(of daemon: Daemon) throws -> UInt16 {
    let line = try #require(daemon.waitFor("shows itself at http://"))
    return try #require(line.split(separator: "/").last { $0.contains(":") }.flatMap { UInt16($0.split(separator: ":").last ?? "") })
  }

  /// nil where nobody answers there.
  func connection(to port: UInt16) -> Int32? {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var place = sockaddr_in()
    place.sin_family = sa_family_t(AF_INET)
    place.sin_port = port.bigEndian
    place.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    let status = withUnsafePointer(to: &place) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
    }
    if status == 0 { return descriptor }
    close(descriptor)
    return nil
  }

  /// Sends a request and reads until the end.
  func ask(_ daemon: Daemon, _ path: String, method: String = "GET", host: String? = nil) throws -> Answer {
    let port = try port(of: daemon)
    let descriptor = try #require(connection(to: port))
    defer { close(descriptor) }
    let request = "\(method) \(path) HTTP/1.1\r\nHost: \(host ?? "127.0.0.1:\(port)")\r\nConnection: close\r\n\r\n"
    try #require(send(descriptor, request, request.utf8.count, 0) == request.utf8.count)
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while case let count = recv(descriptor, &buffer, buffer.count, 0), count > 0 { bytes += buffer[..<count] }
    let parts = String(decoding: bytes, as: UTF8.self).split(separator: "\r\n\r\n", maxSplits: 1, omittingEmptySubsequences: false)
    let lines = parts[0].components(separatedBy: "\r\n")
    var answer = Answer(status: Int(lines[0].split(separator: " ").dropFirst().first ?? "") ?? 0)
    for line in lines.dropFirst() {
      let pair = line.split(separator: ":", maxSplits: 1)
      answer.headers[pair[0].lowercased()] = pair[1].trimmingCharacters(in: .whitespaces)
    }
    answer.body = parts.count > 1 ? String(parts[1]) : ""
    return answer
  }

  @Test("a coordinator and a worker tell people, Prometheus and probes what is going on")
  func pages() throws {
    let tool = Tool(folder: folder.path)
    #expect(try tool("sample", "--shape", "tiny", "--output", "pair").status == 0)
    let cluster = try TestCluster(folder.path, more: ["--http", "127.0.0.1:0"])
    let worker = try cluster.worker("w <i>1</i>", roots: ["/"], more: ["--http", "localhost:0"])
    #expect(try cluster.submit("out", "--wait").status == 0)
    let coordinator = cluster.coordinator

    let page = try ask(coordinator, "/")
    #expect(page.status == 200 && page.body.contains("<script src=\"page.js\"") && !page.body.contains("://"))
    #expect(page.headers["content-security-policy"]?.hasPrefix("default-src 'none'; script-src 'self'") == true)
    #expect(page.headers["x-content-type-options"] == "nosniff")
    for path in ["/page.js", "/page.css"] { #expect(try ask(coordinator, path).status == 200) }
    let jobs = try JSONSerialization.jsonObject(with: Data(try ask(coordinator, "/api/jobs").body.utf8)) as? [[String: Any]]
    #expect(jobs?.count == 1 && jobs?[0]["state"] as? String == "complete")
    let workers = try ask(coordinator, "/api/workers")
    #expect(workers.headers["content-type"] == "application/json" && workers.body.contains("w <i>1</i>"))
    #expect(try ask(coordinator, "/api/view").body.contains("is complete"), "the last events")
    let metrics = try ask(coordinator, "/metrics")
    #expect(metrics.headers["content-type"]?.hasPrefix("text/plain; version=0.0.4") == true)
    #expect(metrics.body.contains("expomerge_shards_done_total 4\n"))
    #expect(metrics.body.contains(#"expomerge_jobs_ended_total{state="complete"} 1"#))
    #expect(try ask(worker, "/metrics").body.contains("expomerge_shards_done_total 4\n"))
    for daemon in [coordinator, worker] {
      #expect(try ask(daemon, "/healthz").status == 200)
      #expect(try ask(daemon, "/readyz").status == 200)
    }
    let lonely = try Daemon(["worker", "--coordinator", "tcp://127.0.0.1:1", "--http", "127.0.0.1:0"], in: folder.path)
    #expect(try ask(lonely, "/healthz").status == 200, "it lives")
    #expect(try ask(lonely, "/readyz").status == 503, "it has nobody to work for")
    for daemon in [lonely, worker, coordinator] {
      #expect(daemon.terminate() == 0)
      #expect(!daemon.text.contains("ERROR"), "\(daemon.text)")
    }
  }

  @Test("it only reads, and not for pages of other sites")
  func refusals() throws {
    let cluster = try TestCluster(folder.path, more: ["--http", "127.0.0.1:0"])
    for method in ["POST", "PUT", "DELETE"] {
      let answer = try ask(cluster.coordinator, "/api/jobs", method: method)
      #expect(answer.status == 405 && answer.headers["allow"] == "GET, HEAD")
    }
    let head = try ask(cluster.coordinator, "/metrics", method: "HEAD")
    #expect(head.status == 200 && head.body.isEmpty)
    for path in ["/nothing", "/../etc/passwd", "/%2e%2e/etc/passwd"] { #expect(try ask(cluster.coordinator, path).status == 404) }
    for host in ["evil.example", "evil.example:5780", "127.evil.example", "localhost.evil.example"] {
      #expect(try ask(cluster.coordinator, "/", host: host).status == 421)
    }
    for host in ["localhost:1", "127.0.0.1", "[::1]:5780"] { #expect(try ask(cluster.coordinator, "/", host: host).status == 200) }
    #expect(cluster.coordinator.terminate() == 0)
  }

  @Test("who opens connections without end takes neither all of its files nor the place of others")
  func connections() throws {
    let cluster = try TestCluster(folder.path, more: ["--http", "127.0.0.1:0"])
    let port = try port(of: cluster.coordinator)
    let descriptors = (0..<100).compactMap { _ in connection(to: port) }
    defer { for descriptor in descriptors { close(descriptor) } }
    #expect(descriptors.count == 100)
    #expect(try ask(cluster.coordinator, "/healthz").status == 200, "a probe among them")
    for descriptor in descriptors.prefix(37) {
      var byte: UInt8 = 0
      #expect(recv(descriptor, &byte, 1, 0) <= 0, "64 at a time: the oldest went, without a word")
    }
    #expect(cluster.coordinator.terminate() == 0)
  }

  @Test("a request whose body has no end is hung up on")
  func endlessBody() throws {
    let cluster = try TestCluster(folder.path, more: ["--http", "127.0.0.1:0"])
    let descriptor = try #require(connection(to: try port(of: cluster.coordinator)))
    defer { close(descriptor) }
    let head = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000000\r\n\r\n"
    #expect(send(descriptor, head, head.utf8.count, 0) == head.utf8.count)
    let body = [UInt8](repeating: 0, count: 1 << 16)
    var sent = 0
    while sent < 1 << 30, case let count = send(descriptor, body, body.count, Int32(MSG_NOSIGNAL)), count > 0 { sent += count }
    #expect(sent < 1 << 30, "it takes all of it")
    #expect(try ask(cluster.coordinator, "/healthz").status == 200)
    #expect(cluster.coordinator.terminate() == 0)
  }

  @Test("an address that is taken, or none, is an error before anything begins")
  func addresses() throws {
    let tool = Tool(folder: folder.path)
    let cluster = try TestCluster(folder.path, more: ["--http", "127.0.0.1:0"])
    let line = try #require(cluster.coordinator.waitFor("shows itself at http://"))
    let taken = try #require(line.split(separator: "/").last { $0.contains(":") })
    let second = try tool("coordinator", "--listen", "tcp://127.0.0.1:0", "--state", "other", "--http", String(taken))
    #expect(second.status == 69 && second.errors.contains("--http \(taken) cannot be listened at"), "\(second.errors)")
    let elsewhere = try tool("worker", "--coordinator", cluster.address, "--http", "192.0.2.1:5780")
    #expect(elsewhere.status == 69 && elsewhere.errors.contains("choose another address or port"))
    for address in ["5780", "host", ":5780", "::1:5780", "127.0.0.1:99999"] {
      #expect(try tool("coordinator", "--state", "other", "--http", address).status == 64)
    }
    #expect(cluster.coordinator.terminate() == 0)
  }
}
