import Synchronization

/// Lets work through until it is closed: an event loop that was shut down takes none from other threads.
final class Gate: Sendable {
  private let isOpen = Mutex(true)

  /// Does `work` where it is open, and is not closed meanwhile.
  func pass(_ work: () -> Void) {
    isOpen.withLock { if $0 { work() } }
  }

  /// - Returns: false where it was closed before.
  func close() -> Bool {
    isOpen.withLock { isOpen in
      defer { isOpen = false }
      return isOpen
    }
  }
}
