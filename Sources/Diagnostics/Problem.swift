/// One thing that is wrong: what, where, and what to do about it.
public struct Problem: Sendable, Equatable {
  /// A stable name for the kind of problem, for tests and for programs that read `--json`.
  ///
  /// Modules add theirs in extensions: `static let headerTooLarge = Self("header-too-large")`.
  public struct Code: Sendable, Hashable, CustomStringConvertible {
    public let description: String

    public init(_ name: String) {
      description = name
    }
  }

  public var code: Code
  public var message: String
  public var file: String?
  public var tensor: String?
  /// Offset in bytes from the start of `file`.
  public var byte: Int?
  public var remedy: String?

  public init(
    _ code: Code, _ message: String, file: String? = nil, tensor: String? = nil, byte: Int? = nil,
    remedy: String? = nil
  ) {
    self.code = code
    self.message = message
    self.file = file
    self.tensor = tensor
    self.byte = byte
    self.remedy = remedy
  }
}

extension Problem: CustomStringConvertible {
  /// `file: tensor 'x' (byte 12): message; remedy`, leaving out what is not known.
  public var description: String {
    var place = file ?? ""
    if let tensor { place += (place.isEmpty ? "" : ": ") + "tensor '\(tensor)'" }
    if let byte { place += (place.isEmpty ? "" : " ") + "(byte \(byte))" }
    let what = place.isEmpty ? message : "\(place): \(message)"
    return printable(remedy.map { "\(what); \($0)" } ?? what)
  }
}

/// A text without the control characters that a name from a file could use to fool a terminal.
public func printable(_ text: String) -> String {
  escapingControls(in: text) { "\\u{\(String($0.value, radix: 16))}" }
}

/// The same of JSON without white space, whose encoder leaves some of them as they are.
public func printableJSON(_ json: String) -> String {
  escapingControls(in: json) { scalar in
    let digits = String(scalar.value, radix: 16)
    return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
  }
}

/// Whether a text has none of them.
public func isPrintable(_ text: String) -> Bool { !text.unicodeScalars.contains(where: isControl) }

private func escapingControls(in text: String, _ escape: (Unicode.Scalar) -> String) -> String {
  if isPrintable(text) { return text }
  var result = ""
  for scalar in text.unicodeScalars {
    if isControl(scalar) {
      result += escape(scalar)
    } else {
      result.unicodeScalars.append(scalar)
    }
  }
  return result
}

/// Of C0 and C1, line and paragraph separators, and what changes the direction of writing.
private func isControl(_ scalar: Unicode.Scalar) -> Bool {
  switch scalar.value {
  case ..<0x20, 0x7F...0x9F, 0x061C, 0x200E...0x200F, 0x2028...0x202E, 0x2066...0x2069: true
  default: false
  }
}
