import Testing

@testable import Keys

@Suite struct KeyTests {
  /// From the manual page of zmq_curve(7).
  @Test("the public key follows from the secret one, as libzmq has it")
  func derived() {
    let secret = SecretKey(z85: "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6")
    #expect(secret?.publicKey.z85 == "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7")
    #expect(SecretKey().publicKey != SecretKey().publicKey)
  }

  @Test(
    "what is not a key",
    arguments: [
      "", "short", String(repeating: "a", count: 41), "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh\"",
      String(repeating: "0", count: 40), String(repeating: "#", count: 40), "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yfé",
    ])
  func notAKey(text: String) {
    #expect(PublicKey(z85: text) == nil)
  }

  /// From rfc.zeromq.org/spec/32.
  @Test("Z85's own test vector")
  func vector() {
    let bytes: [UInt8] = [0x86, 0x4F, 0xD2, 0x6F, 0xB5, 0x59, 0xF7, 0x5B]
    var text: [UInt8] = []
    bytes.withUnsafeBytes { Z85.encode($0) { text.append($0) } }
    #expect(String(decoding: text, as: UTF8.self) == "HelloWorld")
    var decoded = [UInt8](repeating: 0, count: 8)
    let isText = decoded.withUnsafeMutableBytes { buffer in text.withUnsafeBytes { Z85.decode($0, into: buffer) } }
    #expect(isText)
    #expect(decoded == bytes)
  }

  @Test("a fingerprint is the beginning of the key's SHA-256")
  func fingerprint() throws {
    // printf '\1%.0s' {1..32} | sha256sum
    let key = try #require(PublicKey([UInt8](repeating: 1, count: 32)))
    #expect(key.fingerprint == "72cd6e8422c407fb")
    #expect("\(key)" == key.fingerprint)
    #expect(PublicKey([UInt8](repeating: 1, count: 31)) == nil)
  }

  @Test("printing a secret key prints no key")
  func noDescription() {
    let text = "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6"
    let key = SecretKey(z85: text)!
    var dumped = ""
    dump(key, to: &dumped)
    let bytes = key.withBytes { Array($0) }
    for shown in ["\(key)", String(reflecting: key), dumped] {
      #expect(!shown.contains(text.prefix(6)))
      #expect(!shown.contains("\(bytes[0]), \(bytes[1])"))
    }
  }
}
