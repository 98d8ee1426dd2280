import Keys
import Logging
import Synchronization
import Testing
import ZeroMQ

@testable import Transport

/// The handler and real sockets.
@Suite(.timeLimit(.minutes(10))) struct AuthenticatorTests {
  let context = Context()
  let loop = EventLoop()
  let server = SecretKey()

  func keys(_ keys: [SecretKey]) -> AuthorizedKeys {
    AuthorizedKeys(
      keys.enumerated().map { index, key in
        .init(
          name: "k\(index)", file: "k\(index).key",
          certificate: .success(Certificate(key.publicKey, metadata: ["role": "worker"])))
      })
  }

  func authenticator(_ allowed: [SecretKey]) async -> Authenticator {
    let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    let authenticator = Authenticator(keys(allowed), context: context, loop: loop, logger: logger)
    #expect(await authenticator.open() == nil)
    return authenticator
  }

  struct Peer {
    let socket: Socket
    let monitor: SocketMonitor
  }

  func router(limit: Int = 1000) throws -> Socket {
    let options = SocketOptions.listening(maxMessageSize: limit, key: server)
    let router = try Socket(.router, in: context, options + [.linger(0)])
    try router.bind("tcp://127.0.0.1:*")
    return router
  }

  func connect(_ key: SecretKey, to router: Socket, name: String, limit: Int = 1000) throws -> Peer {
    let endpoint = try Endpoint(router.lastEndpoint)
    let options = SocketOptions.connecting(
      to: endpoint, maxMessageSize: limit, credentials: Credentials(server: server.publicKey, own: key))
    let socket = try Socket(.dealer, in: context, options + [.linger(0)])
    let monitor = try SocketMonitor(socket, in: context, name: name)
    try socket.connect(endpoint)
    return Peer(socket: socket, monitor: monitor)
  }

  /// How a peer's handshake ends.
  func outcome(_ peer: Peer) throws -> ConnectionEvent.Kind? {
    let ends: [ConnectionEvent.Kind] = [.handshakeSucceeded, .handshakeFailed, .authenticationFailed]
    while try peer.monitor.socket.wait(milliseconds: 60_000) {
      while let event = try peer.monitor.next() { if ends.contains(event.kind) { return event.kind } }
    }
    return nil
  }

  @Test("the largest frame of each socket passes encrypted, both ways", arguments: [SocketOptions.control, SocketOptions.data])
  func largest(limit: Int) async throws {
    let friend = SecretKey()
    let authenticator = await authenticator([friend])
    let router = try router(limit: limit)
    let peer = try connect(friend, to: router, name: "friend", limit: limit)
    #expect(try peer.socket.send([Frame([UInt8](repeating: 1, count: limit))]) == .sent)
    #expect(try router.wait(milliseconds: 60_000))
    let (parts, _) = try #require(try router.receive(partLimit: 2))
    #expect(parts.last?.count == limit)
    _ = try router.send([Frame(parts[0].bytes), Frame([UInt8](repeating: 2, count: limit))])
    #expect(try peer.socket.wait(milliseconds: 60_000))
    #expect(try peer.socket.receive(partLimit: 1)?.parts.last?.count == limit)
    await authenticator.close()
  }

  @Test("an authorized key is let in and known by its fingerprint on every message, small or large; another is told no")
  func admits() async throws {
    let (friend, stranger) = (SecretKey(), SecretKey())
    let authenticator = await authenticator([friend])
    let router = try router()
    let other = try connect(stranger, to: router, name: "stranger")
    #expect(try other.socket.send([Frame([1])]) == .sent)
    #expect(try outcome(other) == .authenticationFailed)
    let peer = try connect(friend, to: router, name: "friend")
    for size in [1, 29, 30, 900] {
      #expect(try peer.socket.send([Frame([UInt8](repeating: 2, count: size))]) == .sent)
      #expect(try router.wait(milliseconds: 60_000))
      let parts = try #require(try router.receive(partLimit: 2)?.parts)
      #expect(parts[1].count == size)
      #expect(parts[1].property(.userID) == friend.publicKey.fingerprint)
      #expect(parts[1].property(.peerAddress)?.hasSuffix("127.0.0.1") == true)
    }
    #expect(await authenticator.admitted == 1)
    #expect(await authenticator.refused == ["unknown-key": 1])
    await authenticator.close()
    loop.stop()
  }

  @Test("a key that is taken away is refused from then on, and one that is added let in")
  func changes() async throws {
    let (first, second) = (SecretKey(), SecretKey())
    let authenticator = await authenticator([first])
    let router = try router()
    #expect(try outcome(connect(first, to: router, name: "a")) == .handshakeSucceeded)
    await authenticator.authorize(keys([second]))
    #expect(try outcome(connect(first, to: router, name: "b")) == .authenticationFailed)
    #expect(try outcome(connect(second, to: router, name: "c")) == .handshakeSucceeded)
    await authenticator.close()
    loop.stop()
  }

  @Test("a handler that has ended lets nobody in, not even whom it knew")
  func closed() async throws {
    let friend = SecretKey()
    let authenticator = await authenticator([friend])
    let router = try router()
    #expect(try outcome(connect(friend, to: router, name: "before")) == .handshakeSucceeded)
    await authenticator.close()
    let peer = try connect(friend, to: router, name: "after")
    #expect(try peer.socket.send([Frame([1])]) == .sent)
    #expect(try outcome(peer) != .handshakeSucceeded)
    #expect(try router.receive(partLimit: 2) == nil)
    loop.stop()
  }

  @Test("within the process no key is asked for, and no user is known")
  func inproc() async throws {
    let authenticator = await authenticator([])
    let router = try router()
    try router.bind("inproc://here")
    let dealer = try Socket(.dealer, in: context, [.linger(0)])
    try dealer.connect("inproc://here")
    #expect(try dealer.send([Frame([1])]) == .sent)
    #expect(try router.wait(milliseconds: 60_000))
    let parts = try #require(try router.receive(partLimit: 2)?.parts)
    #expect(parts[1].property(.userID) == nil)
    #expect(parts[1].property(.peerAddress) == nil)
    await authenticator.close()
    loop.stop()
  }

  @Test("a context has one handler")
  func second() async {
    let authenticator = await authenticator([])
    let other = Authenticator(
      AuthorizedKeys(), context: context, loop: loop, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    #expect(await other.open() != nil)
    await authenticator.close()
    loop.stop()
  }
}
