import Coordinator

/// Numbers as people read them.
enum Format {
  /// `2.2 GB`, in powers of 1000.
  static func bytes(_ count: Int) -> String {
    scaled(Double(count), ["B", "kB", "MB", "GB", "TB", "PB"])
  }

  /// `1.10 billion` and so on.
  static func count(_ count: Int) -> String {
    switch count {
    case 1_000_000_000_000...: "\(decimal(Double(count) / 1e12, 2)) trillion"
    case 1_000_000_000...: "\(decimal(Double(count) / 1e9, 2)) billion"
    case 1_000_000...: "\(decimal(Double(count) / 1e6, 2)) million"
    default: "\(count)"
    }
  }

  static func rate(_ bytesPerSecond: Double) -> String {
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
  static func duration(_ seconds: Double) -> String {
    guard seconds.isFinite, seconds < 1e7 else { return "-" }
    let total = Int(seconds.rounded(.up))
    let (hours, minutes, rest) = (total / 3600, total / 60 % 60, total % 60)
    let padded = rest < 10 ? "0\(rest)" : "\(rest)"
    return hours > 0 ? "\(hours):\(minutes < 10 ? "0" : "")\(minutes):\(padded)" : "\(minutes):\(padded)"
  }

  /// A number that may be very small, with three significant digits.
  static func ratio(_ value: Double) -> String {
    guard value.isFinite, value != 0 else { return value == 0 ? "0" : "-" }
    var places = 2
    var magnitude = abs(value)
    while magnitude < 1 && places < 12 {
      magnitude *= 10
      places += 1
    }
    return decimal(value, places)
  }

  static func percent(_ part: Int, of whole: Int) -> String {
    whole > 0 ? "\(decimal(Double(part) / Double(whole) * 100, 1)) %" : "-"
  }

  static func plural(_ count: Int, _ noun: String) -> String {
    "\(count) \(noun)\(count == 1 ? "" : "s")"
  }

  /// Left-aligned in a column.
  static func padded(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.count))
  }

  /// Right-aligned in a column.
  static func right(_ text: String, _ width: Int) -> String {
    String(repeating: " ", count: max(0, width - text.count)) + text
  }
}
