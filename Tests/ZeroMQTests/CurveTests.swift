import Testing

@testable import ZeroMQ

@Suite struct CurveTests {
  @Test("the public key follows from the secret one")
  func derived() throws {
    let pair = try CurveKeyPair.generate()
    #expect(CurveKeyPair(secretKey: pair.secretKey) == pair)
    #expect(CurveKeyPair.isKey(pair.publicKey))
  }

  /// From the manual page of zmq_curve(7).
  @Test("known pairs")
  func known() {
    let pair = CurveKeyPair(secretKey: "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6")
    #expect(pair?.publicKey == "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7")
  }

  @Test("what is not a key", arguments: ["", "short", String(repeating: "a", count: 41), "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh\""])
  func notAKey(text: String) {
    #expect(CurveKeyPair(secretKey: text) == nil)
    #expect(!CurveKeyPair.isKey(text))
  }

  @Test("only who knows the server's key gets through, and nothing is sent in the clear")
  func curve() throws {
    let context = Context()
    let (server, client, other) = try (CurveKeyPair.generate(), CurveKeyPair.generate(), CurveKeyPair.generate())
    let router = try Socket(.router, in: context, [.linger(0), .curveServer(secretKey: server.secretKey)])
    try router.bind("tcp://127.0.0.1:*")
    func dealer(_ serverKey: String) throws -> Socket {
      let socket = try Socket(
        .dealer, in: context,
        [.linger(0), .curveClient(serverKey: serverKey, publicKey: client.publicKey, secretKey: client.secretKey)])
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
}
