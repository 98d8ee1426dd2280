public import Diagnostics

/// The options of a daemon from the command line, else the environment, else a file. Of a list, all items come from one place.
public struct Configuration: Equatable, Sendable {
  public static let prefix = "EXPOMERGE_"

  /// Of options that are said somewhere, in the order of the options.
  public private(set) var settings: [Setting] = []
  /// About variables that mean nothing.
  public private(set) var warnings: [Problem] = []

  /// That says nothing.
  public static let nothing = Configuration()

  private init() {}

  /// - Parameters:
  ///   - typed: the words after the command.
  ///   - otherVariables: that mean something elsewhere.
  /// - Throws: `badRecipe` for a flag that is neither true nor false.
  public init(
    options: [SettableOption], typed: [String], environment: [String: String], file: ConfigurationFile? = nil,
    otherVariables: Set<String> = []
  ) throws(Failure) {
    for option in options {
      if let values = Self.values(of: option, in: typed) {
        settings.append(Setting(option, values, .commandLine))
      } else if let text = environment[option.variable], !text.isEmpty {
        settings.append(Setting(option, try Self.values(of: option, text), .environment(option.variable)))
      } else if let entry = file?.entries.first(where: { $0.name == option.name }) {
        settings.append(Setting(option, entry.values, entry.source))
      }
    }
    let known = otherVariables.union(options.map(\.variable))
    for name in environment.keys.sorted() where name.hasPrefix(Self.prefix) && !known.contains(name) && !Self.isOfKubernetes(name) {
      let nearest = nearestWords(to: name, among: options.map(\.variable))
      warnings.append(
        Problem(
          .variableUnknown, "the environment has \(name), which is no option and does nothing",
          remedy: nearest.first.map { "did you mean \($0)?" } ?? "unset it"))
    }
  }

  /// What is not typed, as one would type it.
  public var words: [String] { settings.filter { $0.source != .commandLine }.flatMap(\.words) }

  /// Those that the parser's message is about.
  ///
  /// - Parameter typed: whether they may be typed.
  public func settings(blamedBy message: String, typed: Bool = false) -> [Setting] {
    // What is unknown there is typed, and the option that it is like is not at fault.
    if message.hasPrefix("Unknown option") { return [] }
    return settings.filter { (typed || $0.source != .commandLine) && $0.option.isNamed(in: message) }
  }

  /// As if nobody had said these, typed or elsewhere.
  ///
  /// - Parameter typed: the words after the command.
  public mutating func remove(_ removed: [Setting], typed: inout [String]) {
    settings.removeAll(where: removed.contains)
    var kept: [String] = []
    var index = 0
    while index < typed.count, typed[index] != "--" {
      let word = typed[index]
      let option = removed.lazy.map(\.option).first { word == "--\($0.name)" || word.hasPrefix("--\($0.name)=") }
      if option == nil { kept.append(word) }
      index += option.map { word.contains("=") || $0.kind == .flag ? 1 : 2 } ?? 1
    }
    typed = kept + typed.dropFirst(index)
  }

  private static func values(of option: SettableOption, in typed: [String]) -> [String]? {
    var values: [String] = []
    for (index, word) in typed.enumerated() {
      if word == "--" { break }
      if word.hasPrefix("--\(option.name)=") {
        values.append(String(word.dropFirst(option.name.count + 3)))
      } else if word == "--\(option.name)" {
        values.append(option.kind == .flag ? "true" : index + 1 < typed.count ? typed[index + 1] : "")
      }
    }
    guard let last = values.last else { return nil }
    return option.kind == .list ? values : [last]
  }

  /// Colons are between the items of a list, as in `PATH`; where there are line breaks, these alone.
  private static func values(of option: SettableOption, _ text: String) throws(Failure) -> [String] {
    switch option.kind {
    case .value: return [text]
    case .list:
      let items = text.split(separator: text.contains("\n") ? "\n" : ":").map(String.init)
      guard !items.isEmpty else {
        throw Failure(
          .badRecipe,
          Problem(.configurationInvalid, "\(option.variable) is '\(text)', a list of nothing", remedy: "write what it is, or unset it"))
      }
      return items
    case .flag:
      switch text.lowercased() {
      case "true", "yes", "on", "1": return ["true"]
      case "false", "no", "off", "0": return ["false"]
      default:
        throw Failure(
          .badRecipe,
          Problem(.configurationInvalid, "\(option.variable) is '\(text)'", remedy: "write true or false, or unset it"))
      }
    }
  }

  /// Kubernetes tells every container of every service, as in `EXPOMERGE_PORT_5755_TCP_ADDR` of a service that is called expomerge.
  private static func isOfKubernetes(_ name: String) -> Bool {
    name.hasSuffix("_SERVICE_HOST") || name.contains("_SERVICE_PORT") || name.hasSuffix("_PORT")
      || name.contains(/_PORT_[0-9]+_(TCP|UDP|SCTP)/)
  }
}

extension Problem.Code {
  public static let variableUnknown = Self("variable-unknown")
}
