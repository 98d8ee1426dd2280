import Glibc

/// State behind a lock, and a way to wait until it has become what is wanted; pthread_cond_wait(3).
///
/// Sound to send: the state is only touched while the lock is held.
public final class Monitor<State>: @unchecked Sendable {
  private var state: State
  private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

  public init(_ state: sending State) {
    self.state = state
    pthread_mutex_init(lock, nil)
    pthread_cond_init(changed, nil)
  }

  deinit {
    pthread_mutex_destroy(lock)
    pthread_cond_destroy(changed)
    lock.deallocate()
    changed.deallocate()
  }

  public enum Wake: Sendable {
    case nobody, one, all
  }

  /// Looks at the state or changes it.
  ///
  /// - Parameter wake: who of those that wait looks again.
  public func update<Result>(waking wake: Wake = .all, _ body: (inout State) -> Result) -> Result {
    pthread_mutex_lock(lock)
    let result = body(&state)
    pthread_mutex_unlock(lock)
    switch wake {
    case .nobody: break
    case .one: pthread_cond_signal(changed)
    case .all: pthread_cond_broadcast(changed)
    }
    return result
  }

  /// Waits until `body` gives a value.
  public func wait<Result>(for body: (inout State) -> Result?) -> Result {
    pthread_mutex_lock(lock)
    defer { pthread_mutex_unlock(lock) }
    while true {
      if let result = body(&state) { return result }
      pthread_cond_wait(changed, lock)
    }
  }
}
