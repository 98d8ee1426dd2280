import Keys
import ZeroMQ

/// A question of libzmq whether a peer may connect; ZAP 1.0 (rfc.zeromq.org/spec/27).
struct ZAPRequest: Sendable, Equatable {
  static let endpoint = "inproc://zeromq.zap.01"
  static let version = "1.0"
  /// Of a question: the way back and an empty part, six parts of its own, and the credentials of CURVE.
  static let partLimit = 9
  private static let textLimit = 255

  let domain: String
  /// The peer's; one of IPv4 as such, also where the socket speaks IPv6.
  let address: String
  let mechanism: String
  /// The parts behind the mechanism: with CURVE one, the peer's public key.
  let credentials: [[UInt8]]

  /// What came of reading a message.
  enum Reading: Equatable {
    case request(ZAPRequest, Answering)
    /// Not what the specification says; but it can be answered.
    case malformed(Answering)
    /// It cannot even be answered.
    case unanswerable
  }

  /// What an answer needs of its question.
  struct Answering: Equatable {
    /// The parts before the version: the way back, and an empty one.
    let envelope: [[UInt8]]
    let requestID: [UInt8]
  }

  static func read(_ parts: [Frame], wasCut: Bool) -> Reading {
    guard parts.count >= 4, parts[1].count == 0, parts[3].count <= textLimit else { return .unanswerable }
    let answering = Answering(envelope: parts[..<2].map(\.bytes), requestID: parts[3].bytes)
    guard !wasCut, parts.count >= 8, parts[2].bytes == Array(version.utf8),
      parts.dropFirst(4).allSatisfy({ $0.count <= textLimit })
    else { return .malformed(answering) }
    func text(_ index: Int) -> String { String(decoding: parts[index].bytes, as: UTF8.self) }
    // Part 6 is the routing id that the peer wants to have: its own affair.
    let address = text(5)
    let request = ZAPRequest(
      domain: text(4), address: address.hasPrefix("::ffff:") ? String(address.dropFirst(7)) : address, mechanism: text(7), credentials: parts[8...].map(\.bytes))
    return .request(request, answering)
  }
}

/// The answer to it.
struct ZAPReply: Sendable, Equatable {
  let code: String
  let text: String
  let userID: String

  static func admitted(_ userID: String) -> ZAPReply { ZAPReply(code: "200", text: "OK", userID: userID) }
  static let refused = ZAPReply(code: "400", text: "this key is not authorized", userID: "")
  static let malformed = ZAPReply(code: "500", text: "malformed request", userID: "")

  func frames(_ answering: ZAPRequest.Answering) -> [Frame] {
    let parts = [
      Array(ZAPRequest.version.utf8), answering.requestID, Array(code.utf8), Array(text.utf8), Array(userID.utf8), [],
    ]
    return (answering.envelope + parts).map { Frame($0) }
  }
}

extension ZAPRequest {
  /// Why somebody is not let in.
  enum Refusal: String, Sendable {
    case otherDomain = "zap-domain"
    case otherMechanism = "zap-mechanism"
    case noKey = "zap-credentials"
    case unknownKey = "unknown-key"
    case malformed = "zap-malformed"
  }

  /// Whether a peer of the domain may come in.
  func judged(by keys: AuthorizedKeys, domain: String) -> Result<AuthorizedKeys.Entry, Refused> {
    guard self.domain == domain else { return .failure(Refused(.otherDomain)) }
    guard mechanism == "CURVE" else { return .failure(Refused(.otherMechanism)) }
    guard credentials.count == 1, let key = PublicKey(credentials[0]) else { return .failure(Refused(.noKey)) }
    guard let entry = keys[key] else { return .failure(Refused(.unknownKey, key)) }
    return .success(entry)
  }

  struct Refused: Error, Equatable {
    let reason: Refusal
    let key: PublicKey?

    init(_ reason: Refusal, _ key: PublicKey? = nil) {
      self.reason = reason
      self.key = key
    }
  }
}
