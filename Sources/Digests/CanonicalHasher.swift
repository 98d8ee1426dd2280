/// A digest of typed values, each written with its length, so that two different sequences of values never give the
/// same bytes.
public struct CanonicalHasher: ~Copyable {
  private var hash = XXH3()

  public init() {}

  public mutating func combine(_ value: UInt64) {
    withUnsafeBytes(of: value.littleEndian) { hash.update($0) }
  }

  public mutating func combine(_ value: Int) {
    combine(UInt64(bitPattern: Int64(value)))
  }

  public mutating func combine(_ value: Double) {
    combine(value.bitPattern)
  }

  public mutating func combine(_ value: Bool) {
    combine(UInt64(value ? 1 : 0))
  }

  public mutating func combine(_ value: String) {
    var value = value
    value.withUTF8 { utf8 in
      combine(utf8.count)
      hash.update(UnsafeRawBufferPointer(utf8))
    }
  }

  public mutating func combine(_ value: Digest128) {
    combine(value.high)
    combine(value.low)
  }

  public func digest() -> Digest128 {
    hash.digest()
  }
}
