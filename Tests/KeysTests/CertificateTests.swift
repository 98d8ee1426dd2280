import Diagnostics
import Testing

@testable import Keys

@Suite struct CertificateTests {
  static let publicKey = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
  static let secretKey = "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6"

  func parse(_ text: String) throws(Failure) -> Certificate {
    let bytes = Array(text.utf8)
    let result: Result<Certificate, Failure> = bytes.withUnsafeBytes { buffer in
      do throws(Failure) { return .success(try Certificate(parsing: buffer, file: "a.key")) } catch { return .failure(error) }
    }
    return try result.get()
  }

  func refusal(of text: String) -> Problem? {
    do throws(Failure) {
      _ = try parse(text)
      return nil
    } catch {
      return error.problems[0]
    }
  }

  @Test("what czmq writes: everything in quotation marks")
  func czmq() throws {
    let certificate = try parse(
      """
      #   ****  Generated on 2025-01-31 12:00:00 by CZMQ  ****
      #   ZeroMQ CURVE **Secret** Certificate
      #   DO NOT PROVIDE THIS FILE TO OTHER USERS nor change its permissions.

      metadata
          email = "ph@imatix.com"
          role = "worker"
      curve
          public-key = "\(Self.publicKey)"
          secret-key = "\(Self.secretKey)"

      """)
    #expect(certificate.publicKey.z85 == Self.publicKey)
    #expect(certificate.secretKey?.publicKey == certificate.publicKey)
    #expect(certificate.metadata == ["email": "ph@imatix.com", "role": "worker"])
  }

  @Test("what pyzmq writes: metadata without quotation marks, a public file without metadata")
  func pyzmq() throws {
    let secret = try parse(
      "#   ****  Generated on 2025-01-31 by pyzmq  ****\n\nmetadata\n    role = worker\n    name = node 7\ncurve\n    public-key = \"\(Self.publicKey)\"\n    secret-key = \"\(Self.secretKey)\"\n")
    #expect(secret.metadata == ["role": "worker", "name": "node 7"])
    #expect(secret.secretKey != nil)
    let open = try parse("metadata\ncurve\n    public-key = \"\(Self.publicKey)\"\n")
    #expect(open.secretKey == nil)
    #expect(open.metadata.isEmpty)
  }

  @Test(
    "what people make of it with editors",
    arguments: [
      "metadata\r\n    role = viewer\r\ncurve\r\n    public-key = \"KEY\"\r\n",
      "\u{FEFF}curve\n    public-key = 'KEY'   # mine\nmetadata\n    role = viewer  # looks only\n",
      "curve\n    public-key=KEY\n\n   # indented as it likes\nmetadata # about it\n    role=viewer",
      "other\n    deep\n        public-key = none\n    bind = tcp://*:1\nmetadata\n    role = viewer   \ncurve\n    public-key =   KEY   \n",
    ])
  func edited(text: String) throws {
    let text = text.split(separator: "KEY", omittingEmptySubsequences: false).joined(separator: Self.publicKey)
    let certificate = try parse(text)
    #expect(certificate.publicKey.z85 == Self.publicKey)
    #expect(certificate.metadata == ["role": "viewer"])
  }

  @Test("a key with # needs no quotation marks, as no space stands before it")
  func numberSign() throws {
    // Of the bytes 0 to 31 with some of them chosen so that # comes out.
    let key = try #require(PublicKey((0..<32).map { UInt8($0 == 3 ? 84 : 0) + UInt8($0 / 31) }))
    #expect(key.z85.contains("#"))
    #expect(try parse("curve\n    public-key = \(key.z85)\n").publicKey == key)
  }

  @Test(
    "what is wrong is told with its line and what to do",
    arguments: [
      ("", "no public-key"),
      ("metadata\n    role = worker\n", "no public-key"),
      ("public-key = \"KEY\"\n", "no public-key"),
      ("curve\n    secret-key = \"SECRET\"\n", "no public-key"),
      ("curve\n    public-key = \"short\"\n", "line 2"),
      ("curve\n    public-key = \"\(String(repeating: "0", count: 40))\"\n", "line 2"),
      ("curve\n    public-key = \"\(String(repeating: "#", count: 40))\"\n", "line 2"),
      ("curve\n    public-key = \"KEY\n", "line 2 has a quotation mark"),
      ("curve\n    public-key = \"KEY\" \"KEY\"\n", "line 2 has something behind"),
      ("curve\n  public-key = \"KEY\"\n", "line 2 is indented"),
      ("curve\n\tpublic-key = \"KEY\"\n", "line 2 is indented"),
      ("curve\n        public-key = \"KEY\"\n", "line 2 is indented"),
      ("    curve\n", "line 1 is indented"),
      ("curve\n    public-key \"KEY\"\n", "line 2 is neither"),
      ("curve\n    = \"KEY\"\n", "line 2 is neither"),
      ("curve\n    public-key = \"KEY\"\n    public-key = \"KEY\"\n", "line 3 gives public-key a second time"),
      ("metadata\n    role = worker\n    role = viewer\n", "line 3 gives role a second time"),
      ("curve\n    public-key = \"KEY\"\n    secret-key = \"KEY\"\n", "does not belong"),
      ("curve\n    public-key = \"KEY\"\n    secret-key = \"SECRE\"\n", "line 3"),
    ])
  func broken(text: String, message: String) throws {
    var text = text
    for (word, key) in [("SECRET", Self.secretKey), ("KEY", Self.publicKey)] {
      text = text.split(separator: word, omittingEmptySubsequences: false).joined(separator: key)
    }
    let problem = try #require(refusal(of: text))
    #expect(problem.message.contains(message), "\(problem)")
    #expect(problem.file == "a.key")
    #expect(problem.remedy != nil)
    #expect(problem.code == .certificateInvalid)
  }

  @Test("a problem never shows what may be most of a secret")
  func noLeak() throws {
    let most = String(Self.secretKey.dropLast())
    let problem = try #require(refusal(of: "curve\n    public-key = \"\(Self.publicKey)\"\n    secret-key = \"\(most)\"\n"))
    #expect(!problem.description.contains(most.prefix(8)))
  }

  @Test("what is larger than a certificate can be is refused")
  func oversized() throws {
    let comment = "#" + String(repeating: "x", count: Certificate.byteLimit) + "\n"
    #expect(refusal(of: comment + "curve\n    public-key = \"\(Self.publicKey)\"\n")?.message.contains("too large") == true)
    // The most that is allowed, of lines that mean nothing.
    #expect(refusal(of: String(repeating: "\n", count: Certificate.byteLimit))?.message.contains("no public-key") == true)
  }

  @Test("whatever a file is made of, reading it ends with a certificate or a problem")
  func random() {
    var random = Generator(state: 7)
    let words = ["curve", "metadata", "\n", "\n    ", "public-key", "=", "\"", "'", "#", " ", "\t", "\r\n", Self.publicKey, "\u{0}", "é"]
    for _ in 0..<2000 {
      let text = (0..<Int.random(in: 0...20, using: &random)).map { _ in words.randomElement(using: &random)! }.joined()
      let problem = refusal(of: text)
      #expect(problem == nil || problem?.file == "a.key")
    }
  }

  struct Generator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return state ^ state >> 31
    }
  }

  @Test("what is written is read again, the secret in its own file only")
  func written() throws {
    let certificate = Certificate(SecretKey(), metadata: ["name": "node-7", "role": "worker, operator"])
    let open = String(decoding: certificate.publicText(date: "2025-01-31"), as: UTF8.self)
    let again = try parse(open)
    #expect(again.publicKey == certificate.publicKey)
    #expect(again.secretKey == nil)
    #expect(again.metadata == certificate.metadata)
    #expect(!open.contains("secret-key"))
    let secret = certificate.withSecretText(date: "2025-01-31") { String(decoding: $0, as: UTF8.self) }
    #expect(try parse(secret).secretKey?.publicKey == certificate.publicKey)
    #expect(secret.hasPrefix("#   ****  Generated on 2025-01-31 by expomerge"))
  }

  @Test("roles: several with commas between them, none means looking only, others are refused")
  func roles() throws {
    func roles(_ line: String) throws -> Set<Role> {
      try parse("metadata\n\(line)curve\n    public-key = \"\(Self.publicKey)\"\n").roles(file: "a.key")
    }
    #expect(try roles("") == [.viewer])
    #expect(try roles("    role = worker\n") == [.worker])
    #expect(try roles("    role = \"operator , worker\"\n") == [.operator, .worker])
    for wrong in ["", "admin", "worker,", "worker;viewer", "Worker"] {
      #expect(throws: Failure.self) { try roles("    role = \"\(wrong)\"\n") }
    }
  }
}
