import CXXHash

/// A 128-bit XXH3 digest, as `xxhsum -H2` prints it.
public struct Digest128: Sendable, Hashable {
  public let high: UInt64
  public let low: UInt64

  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  init(_ digest: cxx_digest) {
    self.init(high: digest.high, low: digest.low)
  }
}

extension Digest128: LosslessStringConvertible, Codable {
  /// 32 lower-case hexadecimal digits, the high half first.
  public var description: String { Self.hex(high) + Self.hex(low) }

  public init?(_ description: String) {
    guard description.utf8.count == 32,
      description.utf8.allSatisfy({ (48...57).contains($0) || (97...102).contains($0) }),
      let high = UInt64(description.prefix(16), radix: 16), let low = UInt64(description.suffix(16), radix: 16)
    else { return nil }
    self.init(high: high, low: low)
  }

  private static func hex(_ word: UInt64) -> String {
    let digits = String(word, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    guard let digest = try Self(container.decode(String.self)) else {
      throw DecodingError.dataCorruptedError(in: container, debugDescription: "not 32 lower-case hexadecimal digits")
    }
    self = digest
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}

extension Digest128 {
  /// One digest for several, in order; for one, that one.
  public init(combining digests: [Digest128]) {
    if digests.count == 1 {
      self = digests[0]
    } else {
      var hasher = CanonicalHasher()
      for digest in digests { hasher.combine(digest) }
      self = hasher.digest()
    }
  }
}

/// XXH3-128 of a sequence of buffers (libxxhash).
public struct XXH3: ~Copyable {
  private let state: OpaquePointer

  public init() {
    guard let state = cxx_create(CXX_BEST) else { preconditionFailure("out of memory") }
    self.state = state
  }

  /// Instructions that a digest is computed with; for tests, as the digest is the same.
  package enum Level: CaseIterable {
    case portable, v3, v4
  }

  /// nil where the CPU lacks the level.
  package init?(_ level: Level) {
    let code: cxx_level =
      switch level {
      case .portable: CXX_PORTABLE
      case .v3: CXX_V3
      case .v4: CXX_V4
      }
    guard let state = cxx_create(code) else { return nil }
    self.state = state
  }

  deinit {
    cxx_free(state)
  }

  public mutating func update(_ bytes: UnsafeRawBufferPointer) {
    if let start = bytes.baseAddress { cxx_update(state, start, bytes.count) }
  }

  /// The digest of everything so far.
  public func digest() -> Digest128 {
    Digest128(cxx_finish(state))
  }

  public static func digest(of bytes: UnsafeRawBufferPointer) -> Digest128 {
    var hash = XXH3()
    hash.update(bytes)
    return hash.digest()
  }
}
