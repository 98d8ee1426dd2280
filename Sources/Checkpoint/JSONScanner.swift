/// A strict reader of JSON (RFC 8259) in one pass over bytes, in constant memory besides what it returns.
///
/// It exists because headers are hostile and large: a tree of objects would cost many times the text, and errors need
/// the byte. It refuses what serde_json refuses, so that expomerge and the reference reader agree.
struct JSONScanner {
  /// What is wrong, and at which byte.
  struct Fault: Error {
    let byte: Int
    let message: String
  }

  private let bytes: UnsafeBufferPointer<UInt8>
  /// The byte to be read next.
  private(set) var position = 0
  private var depth = 0

  /// serde_json's limit on nested arrays and objects.
  static let depthLimit = 127

  init(_ bytes: UnsafeBufferPointer<UInt8>) {
    self.bytes = bytes
  }

  func fault(_ message: String, at byte: Int? = nil) -> Fault {
    Fault(byte: byte ?? position, message: message)
  }

  // MARK: tokens

  private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

  /// The first byte of the next token; nil at the end.
  mutating func peek() -> UInt8? {
    while position < bytes.count {
      switch bytes[position] {
      case 0x20, 0x09, 0x0A, 0x0D: position += 1
      case let byte: return byte
      }
    }
    return nil
  }

  private mutating func expect(_ byte: UInt8, _ what: String) throws(Fault) {
    guard peek() == byte else { throw unexpected(what) }
    position += 1
  }

  private func unexpected(_ wanted: String) -> Fault {
    guard let next else { return fault("the text ends where \(wanted) was expected") }
    let shown = (0x21...0x7E).contains(next) ? "'\(Character(Unicode.Scalar(next)))'" : "byte \(next)"
    return fault("\(shown) where \(wanted) was expected")
  }

  /// Nothing but white space may follow.
  mutating func expectEnd() throws(Fault) {
    if peek() != nil { throw unexpected("the end") }
  }

  // MARK: containers

  private mutating func enter(_ open: UInt8, _ what: String) throws(Fault) {
    try expect(open, what)
    depth += 1
    if depth > Self.depthLimit { throw fault("more than \(Self.depthLimit) nested arrays and objects") }
  }

  /// Reads an object; `member` must read each value.
  mutating func readObject<E: Error>(
    _ member: (_ scanner: inout JSONScanner, _ key: String, _ keyByte: Int) throws(E) -> Void,
    orFault wrap: (Fault) -> E
  ) throws(E) {
    do throws(Fault) { try enter(UInt8(ascii: "{"), "an object") } catch { throw wrap(error) }
    var first = true
    while true {
      let key: String
      let keyByte: Int
      do throws(Fault) {
        if peek() == UInt8(ascii: "}") && first { break }
        if !first {
          if peek() == UInt8(ascii: "}") { break }
          try expect(UInt8(ascii: ","), "',' or '}'")
        }
        first = false
        guard peek() == UInt8(ascii: "\"") else { throw unexpected("a name in double quotes") }
        keyByte = position
        key = try readString()
        try expect(UInt8(ascii: ":"), "':'")
      } catch {
        throw wrap(error)
      }
      try member(&self, key, keyByte)
    }
    position += 1
    depth -= 1
  }

  mutating func readObject(
    _ member: (_ scanner: inout JSONScanner, _ key: String, _ keyByte: Int) throws(Fault) -> Void
  ) throws(Fault) {
    try readObject(member, orFault: { $0 })
  }

  /// Reads an array; `element` must read each value.
  mutating func readArray(_ element: (_ scanner: inout JSONScanner) throws(Fault) -> Void) throws(Fault) {
    try enter(UInt8(ascii: "["), "an array")
    if peek() != UInt8(ascii: "]") {
      try element(&self)
      while peek() != UInt8(ascii: "]") {
        try expect(UInt8(ascii: ","), "',' or ']'")
        try element(&self)
      }
    }
    position += 1
    depth -= 1
  }

  // MARK: scalars

  /// Whether the next token is `null`, which is then read.
  mutating func readNull() throws(Fault) -> Bool {
    guard peek() == UInt8(ascii: "n") else { return false }
    try readWord("null")
    return true
  }

  mutating func readBool() throws(Fault) -> Bool {
    if peek() == UInt8(ascii: "t") {
      try readWord("true")
      return true
    }
    guard peek() == UInt8(ascii: "f") else { throw unexpected("true or false") }
    try readWord("false")
    return false
  }

  private mutating func readWord(_ word: StaticString) throws(Fault) {
    let end = position + word.utf8CodeUnitCount
    guard end <= bytes.count,
      word.withUTF8Buffer({ expected in bytes[position..<end].elementsEqual(expected) })
    else { throw fault("not a JSON value") }
    position = end
  }

  /// A number that is a whole, unsigned 64-bit integer written without sign, fraction or exponent.
  mutating func readUnsigned() throws(Fault) -> UInt64 {
    let isDigit = peek().map { (0x30...0x39).contains($0) } ?? false
    guard isDigit else { throw unexpected("a whole number") }
    let start = position
    var value: UInt64 = 0
    while let next, (0x30...0x39).contains(next) {
      let (product, overflow) = value.multipliedReportingOverflow(by: 10)
      let (sum, carry) = product.addingReportingOverflow(UInt64(next - 0x30))
      if overflow || carry { throw fault("a number larger than 64 bits", at: start) }
      value = sum
      position += 1
    }
    if bytes[start] == 0x30 && position > start + 1 { throw fault("a number with a leading zero", at: start) }
    if let next, next == UInt8(ascii: ".") || next | 0x20 == UInt8(ascii: "e") {
      throw fault("a fraction where a whole number was expected", at: start)
    }
    return value
  }

  /// Reads a number of any form; returns nothing because no caller needs it.
  private mutating func skipNumber() throws(Fault) {
    let start = position
    if next == UInt8(ascii: "-") { position += 1 }
    let firstDigit = position
    try skipDigits()
    if bytes[firstDigit] == 0x30 && position > firstDigit + 1 { throw fault("a number with a leading zero", at: start) }
    if next == UInt8(ascii: ".") {
      position += 1
      try skipDigits()
    }
    if let next, next | 0x20 == UInt8(ascii: "e") {
      position += 1
      if self.next == UInt8(ascii: "+") || self.next == UInt8(ascii: "-") { position += 1 }
      try skipDigits()
    }
    let text = String(decoding: bytes[start..<position], as: UTF8.self)
    guard let value = Double(text), value.isFinite else { throw fault("a number out of range", at: start) }
  }

  private mutating func skipDigits() throws(Fault) {
    let start = position
    while let next, (0x30...0x39).contains(next) { position += 1 }
    if position == start { throw unexpected("a digit") }
  }

  /// Reads any value and forgets it.
  mutating func skipValue() throws(Fault) {
    switch peek() {
    case UInt8(ascii: "{"): try readObject { scanner, _, _ throws(Fault) in try scanner.skipValue() }
    case UInt8(ascii: "["): try readArray { scanner throws(Fault) in try scanner.skipValue() }
    case UInt8(ascii: "\""): _ = try readString()
    case UInt8(ascii: "t"): try readWord("true")
    case UInt8(ascii: "f"): try readWord("false")
    case UInt8(ascii: "n"): try readWord("null")
    case .some(let byte) where byte == UInt8(ascii: "-") || (0x30...0x39).contains(byte): try skipNumber()
    default: throw unexpected("a value")
    }
  }

  // MARK: strings

  mutating func readString() throws(Fault) -> String {
    guard peek() == UInt8(ascii: "\"") else { throw unexpected("a string") }
    position += 1
    let start = position
    while let next {
      switch next {
      case UInt8(ascii: "\""):
        let text = try string(start..<position)
        position += 1
        return text
      case UInt8(ascii: "\\"):
        return try readEscapedString(from: start)
      case 0..<0x20:
        throw fault("a control character in a string")
      default:
        position += 1
      }
    }
    throw fault("a string without an end", at: start)
  }

  private func string(_ range: Range<Int>) throws(Fault) -> String {
    let slice = UnsafeBufferPointer(rebasing: bytes[range])
    guard let text = String(validating: slice, as: UTF8.self) else {
      throw fault("not UTF-8", at: range.lowerBound)
    }
    return text
  }

  private mutating func readEscapedString(from start: Int) throws(Fault) -> String {
    var text = try string(start..<position)
    var plain = position
    while let next {
      switch next {
      case UInt8(ascii: "\""):
        text += try string(plain..<position)
        position += 1
        return text
      case UInt8(ascii: "\\"):
        text += try string(plain..<position)
        text.unicodeScalars.append(try readEscape())
        plain = position
      case 0..<0x20:
        throw fault("a control character in a string")
      default:
        position += 1
      }
    }
    throw fault("a string without an end", at: start)
  }

  private mutating func readEscape() throws(Fault) -> Unicode.Scalar {
    let start = position
    position += 1
    guard let next else { throw fault("a string without an end", at: start) }
    position += 1
    switch next {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(next)
    case UInt8(ascii: "b"): return "\u{8}"
    case UInt8(ascii: "f"): return "\u{C}"
    case UInt8(ascii: "n"): return "\n"
    case UInt8(ascii: "r"): return "\r"
    case UInt8(ascii: "t"): return "\t"
    case UInt8(ascii: "u"):
      let unit = try readHex4()
      if let scalar = Unicode.Scalar(UInt32(unit)) { return scalar }
      guard unit < 0xDC00, position + 1 < bytes.count, bytes[position] == UInt8(ascii: "\\"),
        bytes[position + 1] == UInt8(ascii: "u")
      else { throw fault("half of a surrogate pair", at: start) }
      position += 2
      let low = try readHex4()
      guard (0xDC00...0xDFFF).contains(low),
        let scalar = Unicode.Scalar(0x10000 + (UInt32(unit) - 0xD800) << 10 + (UInt32(low) - 0xDC00))
      else { throw fault("half of a surrogate pair", at: start) }
      return scalar
    default: throw fault("an unknown escape in a string", at: start)
    }
  }

  private mutating func readHex4() throws(Fault) -> UInt16 {
    var value: UInt16 = 0
    for _ in 0..<4 {
      guard let next, let digit = Character(Unicode.Scalar(next)).hexDigitValue else {
        throw fault("an escape that is not four hexadecimal digits")
      }
      value = value << 4 | UInt16(digit)
      position += 1
    }
    return value
  }
}
