/// The score in what a command printed.
public enum ScoreText {
  /// Of the end of an output, this much is looked at.
  public static let limit = 64 << 10

  /// The number that the last line which is not empty consists of: decimal, finite, as in `0.73` or `-1.5e-3`.
  ///
  /// - Parameter output: where it has more than `limit` bytes, its end, of at least one more.
  public static func score(in output: [UInt8]) -> Outcome.Result {
    let text = String(decoding: output.suffix(limit), as: UTF8.self)
    let lines = text.split(omittingEmptySubsequences: false) { $0.isNewline }.map(\.trimmingSpaces)
    // The first of what was cut is no line.
    let whole = output.count > limit ? lines.dropFirst() : lines[...]
    guard let last = whole.last(where: { !$0.isEmpty }) else {
      return .failed(ScoreFailure(output.count > limit ? "printed a last line that is too long for a number" : "printed nothing"))
    }
    guard let score = number(last) else {
      let shown = last.count > 60 ? "\(last.prefix(57))..." : String(last)
      return .failed(ScoreFailure("printed no number in its last line: '\(shown)'"))
    }
    return .score(score)
  }

  /// Not all that Double reads: that also takes hexadecimal numbers, infinities and NaN.
  static func number(_ text: Substring) -> Double? {
    guard text.utf8.allSatisfy({ (48...57).contains($0) || "+-.eE".utf8.contains($0) }), let number = Double(text), number.isFinite
    else { return nil }
    return number == 0 ? 0 : number
  }

  /// The last lines of what a command wrote to standard error.
  public static func tail(of errors: [UInt8], lines count: Int = 5) -> [String] {
    let text = String(decoding: errors.suffix(limit), as: UTF8.self).replacing("\t", with: " ")
    let lines = text.split { $0.isNewline }.map(\.trimmingSpaces)
    return lines.filter { !$0.isEmpty }.suffix(count).map { $0.count > 200 ? "\($0.prefix(197))..." : String($0) }
  }
}
