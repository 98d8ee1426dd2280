import Crypto

/// A public key of CURVE: 32 bytes; zmq_curve(7).
public struct PublicKey: Sendable, Hashable {
  public static let byteCount = 32

  public let bytes: [UInt8]

  /// nil where these are not 32 bytes, or all zero: no key, and what tools write where libzmq has no CURVE.
  public init?(_ bytes: some Collection<UInt8>) {
    guard bytes.count == Self.byteCount, bytes.contains(where: { $0 != 0 }) else { return nil }
    self.bytes = Array(bytes)
  }

  /// Of 40 characters of Z85.
  public init?(z85 text: String) {
    var text = text
    guard let key = text.withUTF8({ Self(z85: UnsafeRawBufferPointer($0)) }) else { return nil }
    self = key
  }

  init?(z85 text: UnsafeRawBufferPointer) {
    var bytes = [UInt8](repeating: 0, count: Self.byteCount)
    guard bytes.withUnsafeMutableBytes({ Z85.decode(text, into: $0) }) else { return nil }
    self.init(bytes)
  }

  /// 40 characters of Z85.
  public var z85: String {
    var text: [UInt8] = []
    bytes.withUnsafeBytes { Z85.encode($0) { text.append($0) } }
    return String(decoding: text, as: UTF8.self)
  }

  /// What the key is called in logs, and its user id: the first 8 bytes of its SHA-256, as 16 hexadecimal digits.
  ///
  /// Two keys of one fingerprint can be found with some effort; `AuthorizedKeys` refuses both.
  public var fingerprint: String {
    SHA256.hash(data: bytes).prefix(8).map { byte in
      let digits = String(byte, radix: 16)
      return digits.count == 1 ? "0" + digits : digits
    }.joined()
  }
}

extension PublicKey: CustomStringConvertible {
  public var description: String { fingerprint }
}
