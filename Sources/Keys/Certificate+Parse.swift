public import Diagnostics

extension Certificate {
  /// Reads a certificate as czmq, pyzmq and expomerge write it.
  ///
  /// - Parameter file: for problems.
  /// - Throws: `badRecipe`, naming the line.
  public init(parsing bytes: UnsafeRawBufferPointer, file: String) throws(Failure) {
    guard bytes.count <= Self.byteLimit else {
      throw Failure(
        .badRecipe,
        Problem(
          .certificateInvalid, "is too large for a certificate: \(bytes.count) bytes, where \(Self.byteLimit) are the limit",
          file: file, remedy: "give a file that expomerge keygen, czmq or pyzmq has made"))
    }
    var parser = CertificateParser(bytes: bytes, file: file)
    try parser.parse()
    guard let publicKey = parser.publicKey else {
      throw Failure(
        .badRecipe,
        Problem(
          .certificateInvalid, "has no public-key in a section named curve", file: file,
          remedy: "give a file that expomerge keygen, czmq or pyzmq has made"))
    }
    if let secret = parser.secretKey, secret.publicKey != publicKey {
      throw Failure(
        .badRecipe,
        Problem(
          .certificateInvalid, "the public key does not belong to the secret key", file: file,
          remedy: "restore the file, or make a new key"))
    }
    self.init(publicKey: publicKey, secretKey: parser.secretKey, metadata: parser.metadata)
  }
}

/// ZPL (rfc.zeromq.org/spec/4), as far as certificates use it: properties in sections, indented by four spaces a level.
///
/// It works on bytes, so that a secret key becomes no string on the way.
private struct CertificateParser {
  let bytes: UnsafeRawBufferPointer
  let file: String
  private(set) var publicKey: PublicKey?
  private(set) var secretKey: SecretKey?
  private(set) var metadata: [String: String] = [:]
  private var line = 0
  /// The names of the sections that the line may lie in, outermost first.
  private var path: [String] = []

  init(bytes: UnsafeRawBufferPointer, file: String) {
    self.bytes = bytes
    self.file = file
  }

  mutating func parse() throws(Failure) {
    // Some editors begin a file with a mark of its byte order.
    var start = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
    while start < bytes.count {
      let end = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count
      line += 1
      try parse(trimmed(start..<end))
      start = end + 1
    }
  }

  private mutating func parse(_ range: Range<Int>) throws(Failure) {
    guard let first = range.first(where: { !isSpace(bytes[$0]) }), bytes[first] != UInt8(ascii: "#") else { return }
    let indentation = first - range.lowerBound
    guard indentation % 4 == 0, !bytes[range.lowerBound..<first].contains(UInt8(ascii: "\t")), indentation / 4 <= path.count
    else { throw failure("is indented by something else than four spaces for each section", "indent it by four spaces") }
    path.removeSubrange((indentation / 4)...)

    let nameEnd = bytes[first..<range.upperBound].firstIndex { !isNameCharacter($0) } ?? range.upperBound
    let name = text(first..<nameEnd)
    let rest = bytes[nameEnd..<range.upperBound].firstIndex { !isSpace($0) } ?? range.upperBound
    let isProperty = rest < range.upperBound && bytes[rest] == UInt8(ascii: "=")
    guard !name.isEmpty, isProperty || rest == range.upperBound || bytes[rest] == UInt8(ascii: "#") else {
      throw failure("is neither a section nor a property", "write it as in: name = \"value\"")
    }
    path.append(name)
    if isProperty { try take(try value(trimmed(rest + 1..<range.upperBound))) }
  }

  /// Where the value lies, without quotation marks or a comment behind it.
  private func value(_ range: Range<Int>) throws(Failure) -> Range<Int> {
    guard let first = range.first(where: { !isSpace(bytes[$0]) }) else { return range.upperBound..<range.upperBound }
    let quote = bytes[first]
    guard quote == UInt8(ascii: "\"") || quote == UInt8(ascii: "'") else {
      // Keys may contain #, so only one behind a space begins a comment.
      let comment = (first..<range.upperBound).first { bytes[$0] == UInt8(ascii: "#") && isSpace(bytes[$0 - 1]) }
      return trimmed(first..<(comment ?? range.upperBound))
    }
    guard let end = bytes[(first + 1)..<range.upperBound].firstIndex(of: quote) else {
      throw failure("has a quotation mark that is not closed", "close it")
    }
    if let rest = (end + 1..<range.upperBound).first(where: { !isSpace(bytes[$0]) }), bytes[rest] != UInt8(ascii: "#") {
      throw failure("has something behind its value", "leave one value on the line")
    }
    return first + 1..<end
  }

  private mutating func take(_ range: Range<Int>) throws(Failure) {
    switch path {
    case ["curve", "public-key"]:
      guard publicKey == nil else { throw repeated }
      publicKey = PublicKey(z85: UnsafeRawBufferPointer(rebasing: bytes[range]))
      if publicKey == nil { throw noKey(range) }
    case ["curve", "secret-key"]:
      guard secretKey == nil else { throw repeated }
      secretKey = SecretKey(z85: UnsafeRawBufferPointer(rebasing: bytes[range]))
      if secretKey == nil { throw noKey(range) }
    case _ where path.count == 2 && path[0] == "metadata":
      guard metadata.updateValue(text(range), forKey: path[1]) == nil else { throw repeated }
    default: break
    }
  }

  // MARK: problems

  private func failure(_ message: String, _ remedy: String) -> Failure {
    Failure(.badRecipe, Problem(.certificateInvalid, "line \(line) \(message)", file: file, remedy: remedy))
  }

  private var repeated: Failure { failure("gives \(path.last ?? "") a second time", "leave one of them") }

  /// It does not show what it is instead, which may be most of a secret.
  private func noKey(_ range: Range<Int>) -> Failure {
    let isSecret = path.last == "secret-key"
    return failure(
      "has \(isSecret ? "a secret" : "a public") key that is none: \(range.count) characters, where a key is 40 of Z85 and not all zero",
      isSecret ? "restore the file, or make a new key" : "copy the public certificate again")
  }

  // MARK: characters

  private func text(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }

  private func trimmed(_ range: Range<Int>) -> Range<Int> {
    let end = range.last { !isSpace(bytes[$0]) }.map { $0 + 1 } ?? range.lowerBound
    return range.lowerBound..<end
  }

  private func isSpace(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") || byte == UInt8(ascii: "\r")
  }

  private func isNameCharacter(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"):
      true
    default: "$-_@.&+/".utf8.contains(byte)
    }
  }
}
