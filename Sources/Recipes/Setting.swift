public import Diagnostics

/// An option of the command line that the environment and a file may say as well.
public struct SettableOption: Equatable, Sendable {
  public enum Kind: Sendable {
    case value, list, flag
  }

  /// The long one, without dashes.
  public let name: String
  public let kind: Kind

  public init(_ name: String, _ kind: Kind = .value) {
    self.name = name
    self.kind = kind
  }

  /// Whether a message of the parser names it.
  public func isNamed(in message: String) -> Bool {
    message.split { !($0.isLetter || $0.isNumber || $0 == "-") }.contains("--\(name)")
  }

  /// `EXPOMERGE_LISTEN_DATA` of `listen-data`.
  public var variable: String { Configuration.prefix + name.uppercased().replacing("-", with: "_") }
}

/// What an option is, and where that is said.
public struct Setting: Equatable, Sendable {
  public enum Source: Equatable, Sendable, CustomStringConvertible {
    case commandLine
    case environment(String)
    case file(String, line: Int)

    public var description: String {
      switch self {
      case .commandLine: "command line"
      case .environment(let variable): "$\(variable)"
      case .file(let file, let line): "\(file), line \(line)"
      }
    }
  }

  public let option: SettableOption
  /// One, but of a list; `true` or `false` of a flag.
  public let values: [String]
  public let source: Source

  public init(_ option: SettableOption, _ values: [String], _ source: Source) {
    self.option = option
    self.values = values
    self.source = source
  }

  /// What the parser's message says, where the value is said.
  ///
  /// - Parameter help: what the value should be, for one that cannot be read.
  public func problem(_ message: String, help: String?) -> Problem {
    let refused = values.first { message.hasPrefix("The value '\($0)' is invalid for") }
    let what = message.hasSuffix(".") ? String(message.dropLast()) : message
    let remedy = refused == nil ? nil : help
    switch source {
    case .commandLine: return Problem(.configurationInvalid, what)
    case .environment(let variable):
      return Problem(.configurationInvalid, refused.map { "\(variable) is '\($0)'" } ?? "\(variable): \(what)", remedy: remedy)
    case .file(let file, let line):
      let text = refused.map { "\(option.name) is '\($0)'" } ?? what
      return Problem(.configurationInvalid, "line \(line): \(text)", file: file, remedy: remedy)
    }
  }

  /// As one would type it.
  public var words: [String] {
    option.kind == .flag ? (values == ["true"] ? ["--\(option.name)"] : []) : values.map { "--\(option.name)=\($0)" }
  }
}
