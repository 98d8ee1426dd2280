import Glibc

/// Numbers as people read them.
public enum Format {
  /// `2.2 GB`, in powers of 1000.
  public static func bytes(_ count: Int) -> String {
    scaled(Double(count), ["B", "kB", "MB", "GB", "TB", "PB"])
  }

  /// `1.10 billion` and so on.
  public static func count(_ count: Int) -> String {
    switch count {
    case 1_000_000_000_000...: "\(decimal(Double(count) / 1e12, 2)) trillion"
    case 1_000_000_000...: "\(decimal(Double(count) / 1e9, 2)) billion"
    case 1_000_000...: "\(decimal(Double(count) / 1e6, 2)) million"
    default: "\(count)"
    }
  }

  public static func rate(_ bytesPerSecond: Double) -> String {
    bytesPerSecond.isFinite && bytesPerSecond > 0 ? scaled(bytesPerSecond, ["B/s", "kB/s", "MB/s", "GB/s", "TB/s"]) : "-"
  }

  private static func scaled(_ value: Double, _ units: [String]) -> String {
    var (value, unit) = (value, 0)
    while value >= 999.5 && unit < units.count - 1 {
      value /= 1000
      unit += 1
    }
    return "\(decimal(value, unit == 0 || value >= 99.5 ? 0 : value >= 9.95 ? 1 : 2)) \(units[unit])"
  }

  /// `0:07`, `12:30`, `1:02:03`.
  public static func duration(_ seconds: Double) -> String {
    guard seconds.isFinite, seconds < 1e7 else { return "-" }
    let total = Int(seconds.rounded(.up))
    let (hours, minutes, rest) = (total / 3600, total / 60 % 60, total % 60)
    let padded = rest < 10 ? "0\(rest)" : "\(rest)"
    return hours > 0 ? "\(hours):\(minutes < 10 ? "0" : "")\(minutes):\(padded)" : "\(minutes):\(padded)"
  }

  /// A number that may be very small, with three significant digits.
  public static func ratio(_ value: Double) -> String {
    guard value.isFinite, value != 0 else { return value == 0 ? "0" : "-" }
    var places = 2
    var magnitude = abs(value)
    while magnitude < 1 && places < 12 {
      magnitude *= 10
      places += 1
    }
    return decimal(value, places)
  }

  public static func percent(_ part: Int, of whole: Int) -> String {
    whole > 0 ? "\(decimal(Double(part) / Double(whole) * 100, 1)) %" : "-"
  }

  /// A ratio in hundredths, with three significant digits.
  public static func percentage(_ ratio: Double) -> String {
    ratio.isFinite ? "\(Self.ratio(ratio * 100)) %" : "-"
  }

  /// `2026-03-01 14:05:09 UTC`, of milliseconds since 1970.
  public static func time(_ milliseconds: Int) -> String {
    var seconds = milliseconds / 1000
    var parts = tm()
    guard gmtime_r(&seconds, &parts) != nil else { return "-" }
    var text = [CChar](repeating: 0, count: 64)
    let count = strftime(&text, text.count, "%Y-%m-%d %H:%M:%S UTC", &parts)
    return String(decoding: text[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  public static func plural(_ count: Int, _ noun: String) -> String {
    "\(count) \(noun)\(count == 1 ? "" : "s")"
  }

  /// Left-aligned in a column.
  public static func padded(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.count))
  }

  /// Right-aligned in a column.
  public static func right(_ text: String, _ width: Int) -> String {
    String(repeating: " ", count: max(0, width - text.count)) + text
  }
}

/// A number with a fixed number of decimals.
public func decimal(_ value: Double, _ places: Int) -> String {
  var scale = 1
  for _ in 0..<places { scale *= 10 }
  guard value.isFinite, abs(value) * Double(scale) < 9e18 else { return "\(value)" }
  let scaled = Int((abs(value) * Double(scale)).rounded())
  let sign = value < 0 && scaled > 0 ? "-" : ""
  guard places > 0 else { return sign + String(scaled) }
  let fraction = String(scaled % scale)
  return "\(sign)\(scaled / scale)." + String(repeating: "0", count: places - fraction.count) + fraction
}
