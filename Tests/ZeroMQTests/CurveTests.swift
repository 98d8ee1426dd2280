import Keys
import Testing

@testable import ZeroMQ

@Suite struct CurveTests {
  let context = Context()

  @Test("only who knows the server's key gets through, and nothing is sent in the clear")
  func curve() throws {
    let (server, client, other) = (SecretKey(), SecretKey(), SecretKey())
    let router = try Socket(.router, in: context, [.linger(0), .curveServer(server)])
    try router.bind("tcp://127.0.0.1:*")
    func dealer(_ serverKey: PublicKey) throws -> Socket {
      let socket = try Socket(.dealer, in: context, [.linger(0), .curveClient(server: serverKey, own: client)])
      try socket.connect(router.lastEndpoint)
      return socket
    }
    let wrong = try dealer(other.publicKey)
    #expect(try wrong.send([Frame([1])]) == .sent)
    let right = try dealer(server.publicKey)
    #expect(try right.send([Frame([2])]) == .sent)
    #expect(try router.wait(milliseconds: 10_000))
    #expect(try router.receive(partLimit: 2)?.parts.last?.bytes == [2])
    #expect(try router.receive(partLimit: 2) == nil)
  }

  /// Waits for one of some events of a socket's connections.
  private func wait(_ monitor: SocketMonitor, for kinds: [ConnectionEvent.Kind]) throws -> ConnectionEvent.Kind? {
    while try monitor.socket.wait(milliseconds: 20_000) {
      while let event = try monitor.next() { if kinds.contains(event.kind) { return event.kind } }
    }
    return nil
  }

  @Test("a server with a ZAP domain lets nobody in while there is no handler")
  func noHandler() throws {
    let (server, client) = (SecretKey(), SecretKey())
    let router = try Socket(.router, in: context, [.linger(0), .curveServer(server), .zapDomain("test")])
    let monitor = try SocketMonitor(router, in: context, name: "no-handler")
    try router.bind("tcp://127.0.0.1:*")
    let dealer = try Socket(.dealer, in: context, [.linger(0), .curveClient(server: server.publicKey, own: client)])
    try dealer.connect(router.lastEndpoint)
    #expect(try dealer.send([Frame([1])]) == .sent)
    let ends: [ConnectionEvent.Kind] = [.handshakeSucceeded, .handshakeFailed, .authenticationFailed, .disconnected]
    #expect(try wait(monitor, for: ends) != .handshakeSucceeded)
    #expect(try router.receive(partLimit: 2) == nil)
  }

  @Test("nor while the handler is there and says nothing")
  func deadHandler() throws {
    let (server, client) = (SecretKey(), SecretKey())
    let handler = try Socket(.router, in: context, [.linger(0)])
    try handler.bind("inproc://zeromq.zap.01")
    let router = try Socket(
      .router, in: context, [.linger(0), .handshakeInterval(200), .curveServer(server), .zapDomain("test")])
    let monitor = try SocketMonitor(router, in: context, name: "dead-handler")
    try router.bind("tcp://127.0.0.1:*")
    let dealer = try Socket(.dealer, in: context, [.linger(0), .curveClient(server: server.publicKey, own: client)])
    try dealer.connect(router.lastEndpoint)
    #expect(try dealer.send([Frame([1])]) == .sent)
    // It was asked.
    #expect(try handler.wait(milliseconds: 20_000))
    let ends: [ConnectionEvent.Kind] = [.handshakeSucceeded, .handshakeFailed, .authenticationFailed, .disconnected]
    #expect(try wait(monitor, for: ends) != .handshakeSucceeded)
    #expect(try router.receive(partLimit: 2) == nil)
  }
}
