public import Diagnostics

extension Problem.Code {
  public static let alphasInvalid = Self("alphas-invalid")
}

/// The alphas to try, as people write them. What is written in decimals is computed in decimals: of 0.1:0.5:0.1 the third is
/// 0.3, and not 0.30000000000000004.
public enum Alphas {
  /// Of one search.
  public static let limit = 1000

  /// Alphas between commas, as in `0.1,0.3,0.5`; those that stand twice are taken once.
  ///
  /// - Throws: `usage`.
  public static func list(_ text: String) throws(Failure) -> [Double] {
    var alphas: [Double] = []
    for word in text.split(separator: ",", omittingEmptySubsequences: false) {
      let alpha = try number(word, of: text).value
      if !alphas.contains(alpha) { alphas.append(alpha) }
    }
    guard alphas.count <= limit else { throw refusal(text, "has more than \(limit) alphas") }
    return alphas
  }

  /// `first:last:step`, as in `0.1:0.5:0.1`; the last is left out where no step leads to it.
  ///
  /// - Throws: `usage`.
  public static func range(_ text: String) throws(Failure) -> [Double] {
    let words = text.split(separator: ":", omittingEmptySubsequences: false)
    guard words.count == 3 else { throw refusal(text, "is not a range", remedy: "write first:last:step, as in 0.1:0.5:0.1") }
    let (first, last, step) = (try number(words[0], of: text), try number(words[1], of: text), try number(words[2], of: text))
    let places = max(first.places, last.places, step.places)
    guard let start = first.units(places), let end = last.units(places), let stride = step.units(places) else {
      throw refusal(text, "has numbers too far apart to be computed exactly")
    }
    guard stride > 0 else { throw refusal(text, "has no step above 0") }
    guard start <= end else { throw refusal(text, "ends before it begins") }
    guard (end - start) / stride < limit else { throw refusal(text, "has more than \(limit) alphas") }
    return Swift.stride(from: start, through: end, by: stride).map { Decimal(units: $0, places: places).value }
  }

  private static func number(_ word: Substring, of text: String) throws(Failure) -> Decimal {
    guard let decimal = Decimal(String(word.trimmingSpaces)) else {
      throw refusal(text, "has '\(word)' for a number", remedy: "write numbers as in 0.3, of at most \(Decimal.digitLimit) digits")
    }
    return decimal
  }

  private static func refusal(_ text: String, _ what: String, remedy: String? = nil) -> Failure {
    Failure(.usage, Problem(.alphasInvalid, "'\(text)' \(what)", remedy: remedy))
  }
}

/// `units` divided by 10 to the power of `places`.
struct Decimal: Equatable {
  let units: Int
  let places: Int

  /// With their sums and differences these stay below 2^53, and so are exact in a Double as well.
  static let digitLimit = 15

  init(units: Int, places: Int) {
    self.units = units
    self.places = places
  }

  /// Digits with at most one point among them, and a sign before them.
  init?(_ text: String) {
    var digits = Substring(text)
    let isNegative = digits.first == "-"
    if isNegative || digits.first == "+" { digits.removeFirst() }
    let parts = digits.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
    let all = parts.joined()
    guard !all.isEmpty, all.count <= Self.digitLimit, all.utf8.allSatisfy({ (48...57).contains($0) }), let units = Int(all) else {
      return nil
    }
    self.init(units: isNegative ? -units : units, places: parts.count == 2 ? parts[1].count : 0)
  }

  /// With more places; nil where that is too long.
  func units(_ places: Int) -> Int? {
    var units = units
    for _ in self.places..<places {
      let (product, overflow) = units.multipliedReportingOverflow(by: 10)
      guard !overflow, abs(product) < 1 << 53 else { return nil }
      units = product
    }
    return units
  }

  /// The Double that is nearest.
  var value: Double {
    guard units != 0, let value = Double("\(units)e-\(places)") else { return 0 }
    return value
  }
}

extension Substring {
  var trimmingSpaces: Substring {
    let isSpace = { (character: Character) in character.isWhitespace }
    guard let first = firstIndex(where: { !isSpace($0) }), let last = lastIndex(where: { !isSpace($0) }) else { return "" }
    return self[first...last]
  }
}
