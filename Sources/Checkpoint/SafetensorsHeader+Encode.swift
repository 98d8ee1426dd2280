extension SafetensorsHeader {
  /// The bytes from the start of a file up to its data: the length, the JSON, and spaces up to a multiple of
  /// `alignment`.
  ///
  /// - Parameter alignment: bytes; data that start on a page can be mapped without a copy.
  public static func encode(tensors: [Tensor], metadata: [String: String], alignment: Int = 4096) -> [UInt8] {
    var json: [UInt8] = []
    json.reserveCapacity(tensors.count * 128 + alignment)
    json.append(UInt8(ascii: "{"))
    if !metadata.isEmpty {
      json.append(string: "__metadata__")
      json.append(contentsOf: ":{".utf8)
      for (index, (key, value)) in metadata.sorted(by: { $0.key < $1.key }).enumerated() {
        if index > 0 { json.append(UInt8(ascii: ",")) }
        json.append(string: key)
        json.append(UInt8(ascii: ":"))
        json.append(string: value)
      }
      json.append(UInt8(ascii: "}"))
    }
    for (index, tensor) in tensors.enumerated() {
      if index > 0 || !metadata.isEmpty { json.append(UInt8(ascii: ",")) }
      json.append(string: tensor.name)
      let shape = tensor.shape.map(String.init).joined(separator: ",")
      json.append(
        contentsOf:
          ":{\"dtype\":\"\(tensor.dtype.rawValue)\",\"shape\":[\(shape)],\"data_offsets\":[\(tensor.range.lowerBound),\(tensor.range.upperBound)]}"
          .utf8)
    }
    json.append(UInt8(ascii: "}"))
    let remainder = (8 + json.count) % alignment
    if remainder > 0 { json.append(contentsOf: repeatElement(UInt8(ascii: " "), count: alignment - remainder)) }
    return withUnsafeBytes(of: UInt64(json.count).littleEndian) { Array($0) } + json
  }
}

extension [UInt8] {
  /// Appends a JSON string.
  mutating func append(string: String) {
    append(UInt8(ascii: "\""))
    for byte in string.utf8 {
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"):
        append(UInt8(ascii: "\\"))
        append(byte)
      case 0..<0x20:
        let digits = String(byte, radix: 16)
        append(contentsOf: "\\u00\(digits.utf8.count == 1 ? "0" : "")\(digits)".utf8)
      default:
        append(byte)
      }
    }
    append(UInt8(ascii: "\""))
  }
}
