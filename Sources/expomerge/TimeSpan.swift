import ArgumentParser

/// A time as people write it: `90s`, `0.5s`, `10m`, `2h`, `1d`; a number alone is seconds.
struct TimeSpan: ExpressibleByArgument {
  let seconds: Double

  init?(argument: String) {
    let digits = argument.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
    guard let value = Double(digits), let factor = Self.factors[String(argument.dropFirst(digits.count))],
      value > 0, value * factor < 1e8
    else { return nil }
    seconds = value * factor
  }

  var duration: Duration { .seconds(seconds) }

  private static let factors: [String: Double] = ["": 1, "s": 1, "m": 60, "h": 3600, "d": 86400]
}
