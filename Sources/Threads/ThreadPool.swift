import Glibc
import Synchronization

/// A fixed number of threads that run closures in the order of their submission.
public final class ThreadPool: Sendable {
  private let shared = Shared()
  private let team: ThreadTeam

  /// What the threads share: a queue, and what they wait on. Sound to send, as its members are guarded by its lock.
  private final class Shared: @unchecked Sendable {
    var queue: [@Sendable () -> Void] = []
    var first = 0
    var isStopping = false
    let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    init() {
      pthread_mutex_init(lock, nil)
      pthread_cond_init(condition, nil)
    }

    deinit {
      pthread_mutex_destroy(lock)
      pthread_cond_destroy(condition)
      lock.deallocate()
      condition.deallocate()
    }

    func next() -> (@Sendable () -> Void)? {
      pthread_mutex_lock(lock)
      defer { pthread_mutex_unlock(lock) }
      while first == queue.count {
        if isStopping { return nil }
        pthread_cond_wait(condition, lock)
      }
      let work = queue[first]
      first += 1
      if first == queue.count || first > 1024 {
        queue.removeFirst(first)
        first = 0
      }
      return work
    }
  }

  public init(count: Int) {
    team = ThreadTeam(count: count, mayRunHere: false) { [shared] _ in
      while let work = shared.next() { work() }
    }
    // Waiting for work that nobody does would be worse.
    precondition(team.started > 0, "no thread can be started: raise the limit of processes (ulimit -u)")
  }

  public func submit(_ work: @escaping @Sendable () -> Void) {
    pthread_mutex_lock(shared.lock)
    shared.queue.append(work)
    pthread_mutex_unlock(shared.lock)
    pthread_cond_signal(shared.condition)
  }

  /// Lets the threads end once nothing is left to do.
  public func stop() {
    pthread_mutex_lock(shared.lock)
    shared.isStopping = true
    pthread_mutex_unlock(shared.lock)
    pthread_cond_broadcast(shared.condition)
  }

  /// Waits for them after `stop`.
  public func join() {
    team.wait()
  }

  deinit {
    stop()
  }
}
