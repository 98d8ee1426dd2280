import Dispatch
import Glibc
import Synchronization
import Testing

@testable import StatusServer

@Suite("Status server", .timeLimit(.minutes(5))) struct StatusServerTests {
  /// A connection for which the client's system keeps little.
  func connection(to server: StatusServer) throws -> Int32 {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var size: Int32 = 1 << 14
    for option in [SO_RCVBUF, SO_SNDBUF] { setsockopt(descriptor, SOL_SOCKET, option, &size, socklen_t(MemoryLayout<Int32>.size)) }
    var place = sockaddr_in()
    place.sin_family = sa_family_t(AF_INET)
    place.sin_port = server.address.port.bigEndian
    place.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    let status = withUnsafePointer(to: &place) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
    }
    try #require(status == 0)
    return descriptor
  }

  func server(_ pages: [String: StatusServer.Page], patience: Duration) throws -> StatusServer {
    try StatusServer(try #require(StatusServer.Address("127.0.0.1:0")), pages: pages, patience: patience)
  }

  /// Sends until all of it went, or nobody takes it.
  func sendAll(_ text: String, _ descriptor: Int32) -> Int {
    let bytes = Array(text.utf8)
    var sent = 0
    while sent < bytes.count {
      let count = bytes[sent...].withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
      guard count > 0 else { break }
      sent += count
    }
    return sent
  }

  @Test("of a client that asks again and again and reads nothing no more is taken, and it is hung up on")
  func pipelining() throws {
    let server = try server([:], patience: .seconds(1))
    defer { server.stop() }
    let descriptor = try connection(to: server)
    defer { close(descriptor) }
    let requests = String(repeating: "GET /none HTTP/1.1\r\n\r\n", count: 500_000)
    // The systems keep some of it.
    #expect(sendAll(requests, descriptor) < requests.utf8.count)
  }

  @Test("requests that come before their turn are answered in order", arguments: ["/", "/none"])
  func order(path: String) async throws {
    let server = try server(["/": { .init(text: "page\n") }], patience: .seconds(600))
    defer { server.stop() }
    let descriptor = try connection(to: server)
    defer { close(descriptor) }
    // The last one's answer ends the connection.
    let requests = (0..<999).map { "\($0 % 2 == 0 ? "GET" : "HEAD") \(path) HTTP/1.1\r\n\r\n" } + ["GET \(path) HTTP/1.0\r\n\r\n"]
    #expect(sendAll(requests.joined(), descriptor) == requests.joined().utf8.count)
    // Pages are made by the threads that tests run on.
    let text = await withCheckedContinuation { continuation in
      DispatchQueue.global().async {
        var answers: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while case let count = recv(descriptor, &buffer, buffer.count, 0), count > 0 { answers += buffer[..<count] }
        continuation.resume(returning: String(decoding: answers, as: UTF8.self))
      }
    }
    let answers = text.split(separator: "HTTP/1.1 ")
    #expect(answers.count == 1000)
    let body = path == "/" ? "page\n" : "there is no such page\n"
    for (number, answer) in answers.enumerated() { #expect(answer.hasSuffix(body) == (number % 2 == 0 || number == 999)) }
  }

  @Test("a client that is slow with its request is hung up on, however often it sends some of it")
  func slowRequest() throws {
    let server = try server([:], patience: .seconds(1))
    defer { server.stop() }
    let descriptor = try connection(to: server)
    defer { close(descriptor) }
    var (sent, part) = (0, "GET /")
    while sent < 3000, sendAll(part, descriptor) == part.utf8.count {
      (sent, part) = (sent + 1, "a")
      usleep(10_000)
    }
    #expect(sent < 3000)
  }

  @Test("what is stopped twice, or has answers under way, lets go of them")
  func stopping() async throws {
    let asked = AsyncStream<Void>.makeStream()
    let released = AsyncStream<Void>.makeStream()
    let page: StatusServer.Page = {
      asked.continuation.yield()
      for await _ in released.stream { break }
      return .init(text: "late\n")
    }
    let server = try server(["/": page], patience: .seconds(60))
    let descriptor = try connection(to: server)
    defer { close(descriptor) }
    #expect(send(descriptor, "GET / HTTP/1.1\r\n\r\n", 18, Int32(MSG_NOSIGNAL)) == 18)
    for await _ in asked.stream { break }
    server.stop()
    server.stop()
    var byte: UInt8 = 0
    #expect(recv(descriptor, &byte, 1, 0) <= 0, "it is over when stop returns")
    released.continuation.yield()
  }

  @Test("nothing passes a gate that was closed")
  func gate() {
    let gate = Gate()
    var passed = 0
    gate.pass { passed += 1 }
    #expect(gate.close())
    #expect(!gate.close(), "once")
    gate.pass { passed += 1 }
    #expect(passed == 1)
  }
}

@Suite("Connections of the status server") struct ConnectionTableTests {
  let start = ContinuousClock.now

  func table(_ count: Int) -> ConnectionTable<Int> {
    var table = ConnectionTable<Int>(limit: 3, patience: .seconds(15))
    for id in 0..<count { #expect(table.add(id, at: start + .seconds(id)) == nil) }
    return table
  }

  @Test("for one too many the one that has been idle for the longest goes")
  func idle() {
    var table = table(3)
    table.turn(0, isAnswering: true, at: start + .seconds(3))
    #expect(table.add(3, at: start + .seconds(4)) == 1)
    table.turn(0, isAnswering: false, at: start + .seconds(5))
    #expect(table.add(4, at: start + .seconds(6)) == 2)
    #expect(table.add(5, at: start + .seconds(7)) == 3)
    #expect(table.add(6, at: start + .seconds(8)) == 0)
    table.remove(4)
    #expect(table.add(7, at: start + .seconds(9)) == nil)
  }

  @Test("where all are being answered the oldest goes")
  func busy() {
    var table = table(3)
    for id in [2, 0, 1] { table.turn(id, isAnswering: true, at: start + .seconds(5 - id)) }
    #expect(table.add(3, at: start + .seconds(6)) == 2)
    #expect(table.add(4, at: start + .seconds(7)) == 3, "who owes a request goes first")
  }

  @Test("a request has so many seconds to come, and an answer as many to go")
  func overdue() {
    var table = table(3)
    #expect(table.overdue(at: start + .seconds(14)) == [])
    #expect(table.overdue(at: start + .seconds(15)) == [0])
    table.turn(0, isAnswering: true, at: start + .seconds(10))
    #expect(Set(table.overdue(at: start + .seconds(17))) == [1, 2])
    #expect(Set(table.overdue(at: start + .seconds(25))) == [0, 1, 2])
    table.turn(0, isAnswering: false, at: start + .seconds(25))
    table.remove(1)
    #expect(table.overdue(at: start + .seconds(39)) == [2])
    table.turn(1, isAnswering: true, at: start)
    #expect(table.overdue(at: start + .seconds(39)) == [2], "who has gone does not come again")
  }
}
