import ArgumentParser

/// A number of bytes as people write it: `5GB` is 5·10⁹, `64MiB` is 64·2²⁰.
struct ByteSize: ExpressibleByArgument {
  let bytes: Int

  init(_ bytes: Int) {
    self.bytes = bytes
  }

  init?(argument: String) {
    let digits = argument.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
    let unit = argument.dropFirst(digits.count).lowercased()
    guard let factor = Self.factors[unit.trimmingPrefix(" ").description] else { return nil }
    if let whole = Int(digits) {
      let (bytes, overflow) = whole.multipliedReportingOverflow(by: factor)
      guard !overflow else { return nil }
      self.init(bytes)
    } else {
      guard let value = Double(digits), value * Double(factor) < 0x1p62 else { return nil }
      self.init(Int((value * Double(factor)).rounded()))
    }
  }

  private static let factors: [String: Int] = [
    "": 1, "b": 1, "kb": 1_000, "mb": 1_000_000, "gb": 1_000_000_000, "tb": 1_000_000_000_000,
    "k": 1_000, "m": 1_000_000, "g": 1_000_000_000, "t": 1_000_000_000_000,
    "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40,
  ]

  var defaultValueDescription: String {
    for (unit, factor) in [("GiB", 1 << 30), ("GB", 1_000_000_000), ("MiB", 1 << 20), ("MB", 1_000_000)]
    where bytes % factor == 0 && bytes > 0 { return "\(bytes / factor)\(unit)" }
    return "\(bytes)"
  }
}
