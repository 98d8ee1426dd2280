/// 4 bytes as 5 printable characters, big-endian (rfc.zeromq.org/spec/32).
enum Z85 {
  private static let alphabet = Array(
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#".utf8)

  private static let values: [UInt8?] = {
    var values = [UInt8?](repeating: nil, count: 256)
    for (value, character) in alphabet.enumerated() { values[Int(character)] = UInt8(value) }
    return values
  }()

  /// Writes `bytes`, a multiple of 4, as text.
  static func encode(_ bytes: UnsafeRawBufferPointer, _ append: (UInt8) -> Void) {
    precondition(bytes.count % 4 == 0)
    for start in stride(from: 0, to: bytes.count, by: 4) {
      let word = (0..<4).reduce(UInt32(0)) { $0 << 8 | UInt32(bytes[start + $1]) }
      var divisor: UInt32 = 85 * 85 * 85 * 85
      while divisor > 0 {
        append(alphabet[Int(word / divisor % 85)])
        divisor /= 85
      }
    }
  }

  /// Reads a text of exactly as many characters as `bytes` needs.
  ///
  /// - Returns: whether it was one; `bytes` is of no use if not.
  static func decode(_ text: UnsafeRawBufferPointer, into bytes: UnsafeMutableRawBufferPointer) -> Bool {
    guard bytes.count % 4 == 0, text.count == bytes.count / 4 * 5 else { return false }
    for group in 0..<bytes.count / 4 {
      var word: UInt64 = 0
      for character in text[group * 5..<group * 5 + 5] {
        guard let value = values[Int(character)] else { return false }
        word = word * 85 + UInt64(value)
      }
      guard word <= UInt32.max else { return false }
      for index in 0..<4 { bytes[group * 4 + index] = UInt8(truncatingIfNeeded: word >> (24 - 8 * index)) }
    }
    return true
  }
}
