/// A moment of a clock that never jumps and counts suspended time; CLOCK_BOOTTIME, never the wall clock.
public struct Instant: Sendable, Hashable, Comparable {
  /// Since some fixed moment.
  public var nanoseconds: Int64

  public init(nanoseconds: Int64) {
    self.nanoseconds = nanoseconds
  }

  public static let distantPast = Instant(nanoseconds: .min / 4)

  public static func < (left: Self, right: Self) -> Bool { left.nanoseconds < right.nanoseconds }

  public func adding(milliseconds: Int) -> Instant {
    Instant(nanoseconds: nanoseconds + Int64(milliseconds) * 1_000_000)
  }

  /// Milliseconds from `earlier` to here.
  public func milliseconds(since earlier: Instant) -> Int {
    Int((nanoseconds - earlier.nanoseconds) / 1_000_000)
  }

  public func seconds(since earlier: Instant) -> Double {
    Double(nanoseconds - earlier.nanoseconds) / 1e9
  }
}
