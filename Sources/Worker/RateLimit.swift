import Glibc
import Synchronization
import Threads

/// Bytes a second, shared by the threads of a worker; may be changed while they wait.
final class RateLimit: Sendable {
  private struct State {
    /// Nil for no limit.
    var bytesPerSecond: Int?
    /// When the next bytes may go, in nanoseconds.
    var next: Int64 = 0
    var changes = 0
  }

  private let state: Mutex<State>

  init(bytesPerSecond: Int?) {
    state = Mutex(State(bytesPerSecond: bytesPerSecond))
  }

  /// Whoever waits under the old rate goes on at once.
  func change(to bytesPerSecond: Int?) {
    state.withLock { state in
      state = State(bytesPerSecond: bytesPerSecond, changes: state.changes + 1)
    }
  }

  /// Waits until `bytes` more are within the rate.
  ///
  /// - Parameter mayContinue: asked several times a second; false ends the wait.
  func wait(for bytes: Int, mayContinue: () -> Bool) {
    let turn = state.withLock { state -> (due: Int64, changes: Int)? in
      guard let bytesPerSecond = state.bytesPerSecond else { return nil }
      let cost = Int64(Double(bytes) / Double(bytesPerSecond) * 1e9)
      // What was not used is not saved up, but for a moment.
      state.next = max(state.next, bootNanoseconds() - 50_000_000) + cost
      return (state.next, state.changes)
    }
    guard let turn else { return }
    while mayContinue(), state.withLock({ $0.changes }) == turn.changes {
      let left = turn.due - bootNanoseconds()
      if left <= 0 { return }
      usleep(UInt32(min(left / 1000 + 1, 100_000)))
    }
  }
}
