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
  guard text.unicodeScalars.contains(where: isControl) else { return text }
  var result = ""
  for scalar in text.unicodeScalars {
    if isControl(scalar) {
      result += "\\u{\(String(scalar.value, radix: 16))}"
    } else {
      result.unicodeScalars.append(scalar)
    }
  }
  return result
}

private func isControl(_ scalar: Unicode.Scalar) -> Bool {
  scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value) || (0x2028...0x202E).contains(scalar.value)
    || (0x2066...0x2069).contains(scalar.value)
}
