import Glibc
import Synchronization
import Threads

/// Bytes a second, shared by the threads of a worker.
final class RateLimit: Sendable {
  private let bytesPerSecond: Double
  /// When the next bytes may go, in nanoseconds.
  private let next = Mutex<Int64>(0)

  init(bytesPerSecond: Int) {
    self.bytesPerSecond = Double(bytesPerSecond)
  }

  /// Waits until `bytes` more are within the rate.
  ///
  /// - Parameter mayContinue: asked several times a second; false ends the wait.
  func wait(for bytes: Int, mayContinue: () -> Bool) {
    let cost = Int64(Double(bytes) / bytesPerSecond * 1e9)
    let due = next.withLock { next in
      // What was not used is not saved up, but for a moment.
      next = max(next, bootNanoseconds() - 50_000_000) + cost
      return next
    }
    while mayContinue() {
      let left = due - bootNanoseconds()
      if left <= 0 { return }
      usleep(UInt32(min(left / 1000 + 1, 100_000)))
    }
  }
}
