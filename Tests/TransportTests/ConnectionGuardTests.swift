import Keys
import Testing

@testable import Transport
@testable import ZeroMQ

/// Real connections.
@Suite(.timeLimit(.minutes(10))) struct ConnectionGuardTests {
  let context = Context()
  let server = SecretKey()

  /// What each part of a message of a gigabyte has. It stays, as libzmq may send it for longer than a test lasts.
  nonisolated(unsafe) static let block = {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 1)
    memory.initializeMemory(as: UInt8.self, repeating: 1)
    return UnsafeRawBufferPointer(memory)
  }()

  func dealer(to router: Socket, isEncrypted: Bool) throws -> Socket {
    let key: [Socket.Option] = isEncrypted ? [.curveClient(server: server.publicKey, own: SecretKey())] : []
    let socket = try Socket(.dealer, in: context, [.linger(0)] + key)
    try socket.connect(router.lastEndpoint)
    return socket
  }

  @Test("a peer whose message has no end is hung up on, and nobody else", arguments: [false, true])
  func endless(isEncrypted: Bool) throws {
    let sockets = try (0..<2).map { _ in
      try Socket(.router, in: context, [.linger(0)] + (isEncrypted ? [.curveServer(server)] : []))
    }
    let limit = 4 << 20
    let connections = try ConnectionGuard(sockets, in: context, name: "test", limit: limit, totalLimit: 1 << 30)
    for socket in sockets { try socket.bind("tcp://127.0.0.1:*") }
    let router = sockets[1]
    let (honest, hostile) = (try dealer(to: router, isEncrypted: isEncrypted), try dealer(to: router, isEncrypted: isEncrypted))

    let chunk = Frame([UInt8](repeating: 1, count: limit / 2))
    func exchange() throws {
      #expect(try honest.send([Frame(chunk.bytes), Frame(chunk.bytes)]) == .sent)
      #expect(try router.wait(milliseconds: 60_000))
      #expect(try connections.receive(from: router, partLimit: 3)?.parts.count == 3)
    }
    for _ in 0..<10 {
      try exchange()
      #expect(connections.endUnfinished().isEmpty)
    }
    let parts = (0..<1024).map { _ in Frame(borrowing: Self.block) {} }
    #expect(try hostile.send(parts) == .sent)
    var ended: [String] = []
    while ended.isEmpty {
      ended = connections.endUnfinished()
      if let message = try connections.receive(from: router, partLimit: 2) {
        Issue.record("\(message.parts.count) parts of an endless message were received")
        break
      }
    }
    #expect(ended == ["127.0.0.1"])
    try exchange()
    #expect(connections.endUnfinished().isEmpty)
  }

  @Test("a connection is hung up on only as long as its descriptor is its own")
  func another() throws {
    let router = try Socket(.router, in: context, [.linger(0)])
    let monitor = try SocketMonitor(router, in: context, name: "another", onlyAccepted: true)
    try router.bind("tcp://127.0.0.1:*")
    let peer = try dealer(to: router, isEncrypted: false)
    #expect(try peer.send([Frame([1, 2, 3])]) == .sent)
    #expect(try router.wait(milliseconds: 60_000))
    let descriptor = try #require(try router.receive(partLimit: 2)?.parts.last?.descriptor)
    #expect(try monitor.next()?.value == descriptor)
    let connection = try #require(TCPConnection(descriptor: descriptor))
    #expect(try #require(connection.bytesRead) > 3)
    #expect(TCPConnection(descriptor: descriptor, cookie: connection.cookie + 1).end() == nil)
    #expect(try peer.send([Frame([4])]) == .sent)
    #expect(try router.wait(milliseconds: 60_000))
    #expect(connection.end() == "127.0.0.1")
    #expect(TCPConnection(descriptor: 0) == nil)
    #expect(TCPConnection(descriptor: -1) == nil)
  }
}
