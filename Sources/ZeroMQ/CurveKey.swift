import CZeroMQ

/// A pair of CURVE keys in Z85, 40 characters each; zmq_curve_keypair(3).
public struct CurveKeyPair: Sendable, Equatable {
  public let publicKey: String
  public let secretKey: String

  /// A new pair.
  public static func generate() throws(ZeroMQError) -> CurveKeyPair {
    var publicKey = [CChar](repeating: 0, count: 41)
    var secretKey = [CChar](repeating: 0, count: 41)
    guard zmq_curve_keypair(&publicKey, &secretKey) == 0 else { throw ZeroMQError("zmq_curve_keypair") }
    return CurveKeyPair(publicKey: text(publicKey), secretKey: text(secretKey))
  }

  private init(publicKey: String, secretKey: String) {
    self.publicKey = publicKey
    self.secretKey = secretKey
  }

  /// The pair of a secret key; zmq_curve_public(3). nil where it is not a key.
  public init?(secretKey: String) {
    guard Self.isKey(secretKey) else { return nil }
    var publicKey = [CChar](repeating: 0, count: 41)
    guard zmq_curve_public(&publicKey, secretKey) == 0 else { return nil }
    self.init(publicKey: Self.text(publicKey), secretKey: secretKey)
  }

  /// Whether a text is 32 bytes in Z85 (rfc.zeromq.org/spec/32).
  public static func isKey(_ text: String) -> Bool {
    guard text.utf8.count == 40, !text.utf8.contains(0) else { return false }
    var bytes = [UInt8](repeating: 0, count: 32)
    return zmq_z85_decode(&bytes, text) != nil
  }

  private static func text(_ characters: [CChar]) -> String {
    String(decoding: characters.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
