/// Orders names as people do, numbers by value: `layers.2` before `layers.10`.
struct NaturalKey: Comparable {
  private let bytes: [UInt8]

  init(_ name: String) {
    var key: [UInt8] = []
    key.reserveCapacity(name.utf8.count + 8)
    var digits: [UInt8] = []
    func flush() {
      guard !digits.isEmpty else { return }
      let significant = digits.drop { $0 == UInt8(ascii: "0") }
      // A number sorts by how many digits it has, then by the digits.
      key.append(UInt8(ascii: "0"))
      key.append(UInt8(clamping: significant.count))
      key.append(contentsOf: significant)
      digits.removeAll(keepingCapacity: true)
    }
    for byte in name.utf8 {
      if (0x30...0x39).contains(byte) {
        digits.append(byte)
      } else {
        flush()
        key.append(byte)
      }
    }
    flush()
    bytes = key
  }

  static func < (left: NaturalKey, right: NaturalKey) -> Bool {
    left.bytes.lexicographicallyPrecedes(right.bytes)
  }
}
