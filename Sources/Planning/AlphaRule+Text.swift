import Checkpoint

extension AlphaRule {
  /// Why a text is no rule.
  public struct InvalidText: Error, CustomStringConvertible {
    public let reason: String
    public var description: String { "The rule \(reason)." }
  }

  /// As on a command line: conditions and, behind the last colon, one alpha or several over the depth.
  ///
  ///     model.layers.*.mlp.*:0.2
  ///     part=mlp;layers=0-15:0.1,0.5
  ///     regex=q_proj|k_proj:0
  public init(text: String) throws(InvalidText) {
    // Scalars, as what stands before a colon or semicolon may make one character with it.
    let text = text.unicodeScalars
    guard let colon = text.lastIndex(of: ":") else { throw InvalidText(reason: "has no colon before its alpha") }
    var alphas: [Double] = []
    for word in String(text[text.index(after: colon)...]).split(separator: ",", omittingEmptySubsequences: false) {
      guard let alpha = Double(word.filter { $0 != " " }) else { throw InvalidText(reason: "has '\(word)' for an alpha") }
      alphas.append(alpha)
    }
    self.init(alphas: alphas)
    var rest = text[..<colon]
    while !rest.isEmpty {
      // A regular expression may have semicolons.
      let end = rest.starts(with: "regex=".unicodeScalars) ? rest.endIndex : rest.firstIndex(of: ";") ?? rest.endIndex
      try add(String(rest[..<end]))
      rest = end == rest.endIndex ? rest[rest.endIndex...] : rest[rest.index(after: end)...]
    }
  }

  private mutating func add(_ condition: String) throws(InvalidText) {
    guard let equals = condition.unicodeScalars.firstIndex(of: "=") else { return glob = condition }
    let value = String(condition.unicodeScalars[condition.unicodeScalars.index(after: equals)...])
    switch String(condition.unicodeScalars[..<equals]) {
    case "tensors": glob = value
    case "regex": regex = value
    case "part":
      guard let part = TensorRole.Kind(rawValue: value) else {
        let parts = TensorRole.Kind.allCases.map(\.rawValue).joined(separator: ", ")
        throw InvalidText(reason: "has no part '\(value)': there are \(parts)")
      }
      self.part = part
    case "layers":
      guard let layers = Self.layers(value) else {
        throw InvalidText(reason: "has layers '\(value)': write the first and the last, as in 0-15")
      }
      self.layers = layers
    case let other: throw InvalidText(reason: "has an unknown condition '\(other)'")
    }
  }

  /// What `init(text:)` reads again.
  public var text: String {
    var conditions: [String] = []
    if let part { conditions.append("part=\(part.rawValue)") }
    if let layers { conditions.append("layers=\(layers.lowerBound)-\(layers.upperBound)") }
    if let glob { conditions.append("tensors=\(glob)") }
    if let regex { conditions.append("regex=\(regex)") }
    return conditions.joined(separator: ";") + ":" + alphas.map { "\($0)" }.joined(separator: ",")
  }

  /// `3`, or `0-15` with the last.
  public static func layers(_ text: String) -> ClosedRange<Int>? {
    let ends = text.split(separator: "-", omittingEmptySubsequences: false).map { Int($0.filter { $0 != " " }) }
    guard let first = ends.first ?? nil, let last = ends.last ?? nil, ends.count <= 2, 0 <= first, first <= last else { return nil }
    return first...last
  }
}
