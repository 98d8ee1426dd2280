import Crypto
import Glibc

/// A secret key of CURVE: 32 bytes that nothing here prints, and that are cleared when the last reference goes.
///
/// libzmq keeps copies of its own for as long as sockets use the key.
public final class SecretKey: Sendable {
  // Written by the initialisers only.
  nonisolated(unsafe) private let memory: UnsafeMutableRawBufferPointer
  public let publicKey: PublicKey

  /// A new one, of the system's randomness.
  public init() {
    var random = SystemRandomNumberGenerator()
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: PublicKey.byteCount, alignment: 8)
    for offset in stride(from: 0, to: memory.count, by: 8) {
      memory.storeBytes(of: random.next() as UInt64, toByteOffset: offset, as: UInt64.self)
    }
    // One of 2^256 numbers gives no key.
    guard let publicKey = Self.publicKey(of: memory) else { preconditionFailure("the system's randomness is none") }
    self.memory = memory
    self.publicKey = publicKey
  }

  /// Of 40 characters of Z85; nil where they are not a key.
  init?(z85 text: UnsafeRawBufferPointer) {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: PublicKey.byteCount, alignment: 8)
    guard Z85.decode(text, into: memory), let publicKey = Self.publicKey(of: memory) else {
      Self.release(memory)
      return nil
    }
    self.memory = memory
    self.publicKey = publicKey
  }

  /// nil where they are not a key.
  public convenience init?(z85 text: String) {
    var text = text
    let key = text.withUTF8 { Self(z85: UnsafeRawBufferPointer($0)) }
    guard let key else { return nil }
    self.init(copying: key)
  }

  private init(copying other: SecretKey) {
    memory = .allocate(byteCount: PublicKey.byteCount, alignment: 8)
    publicKey = other.publicKey
    other.withBytes { memory.copyMemory(from: $0) }
  }

  deinit { Self.release(memory) }

  private static func release(_ memory: UnsafeMutableRawBufferPointer) {
    explicit_bzero(memory.baseAddress!, memory.count)
    memory.deallocate()
  }

  /// CURVE's keys are those of X25519 (RFC 7748).
  private static func publicKey(of memory: UnsafeMutableRawBufferPointer) -> PublicKey? {
    let key = try? Curve25519.KeyAgreement.PrivateKey(rawRepresentation: UnsafeRawBufferPointer(memory))
    return key.flatMap { PublicKey($0.publicKey.rawRepresentation) }
  }

  /// The 32 bytes, to be copied nowhere but into libzmq.
  public func withBytes<Result, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> Result) throws(E) -> Result {
    let result = try body(UnsafeRawBufferPointer(memory))
    withExtendedLifetime(self) {}
    return result
  }
}
