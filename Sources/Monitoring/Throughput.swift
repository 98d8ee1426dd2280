/// Bytes of the last five minutes, by stretches of time.
public struct Throughput: Sendable {
  /// Seconds.
  public static let stretch = 2
  public static let count = 150

  /// The newest last.
  private var stretches = [Int](repeating: 0, count: Self.count)
  /// Number of the newest, counted from the clock's zero.
  private var newest: Int64 = 0

  public init() {}

  /// - Parameter nanoseconds: of a clock that does not go back.
  public mutating func add(_ bytes: Int, at nanoseconds: Int64) {
    advance(to: nanoseconds)
    stretches[Self.count - 1] += bytes
  }

  /// Up to now, the oldest first.
  public mutating func values(at nanoseconds: Int64) -> [Int] {
    advance(to: nanoseconds)
    return stretches
  }

  private mutating func advance(to nanoseconds: Int64) {
    let number = nanoseconds / (Int64(Self.stretch) * 1_000_000_000)
    guard number > newest else { return }
    let passed = Int(min(number - newest, Int64(Self.count)))
    stretches.removeFirst(passed)
    stretches += [Int](repeating: 0, count: passed)
    newest = number
  }
}
