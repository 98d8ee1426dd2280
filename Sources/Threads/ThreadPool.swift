/// A fixed number of threads that run closures in the order of their submission.
public final class ThreadPool: Sendable {
  private struct Queue {
    var work: [@Sendable () -> Void] = []
    /// Closures at the front that were taken.
    var taken = 0
    var isStopping = false

    mutating func take() -> @Sendable () -> Void {
      let next = work[taken]
      taken += 1
      if taken == work.count || taken > 1024 {
        work.removeFirst(taken)
        taken = 0
      }
      return next
    }
  }

  private let queue = Monitor(Queue())
  private let team: ThreadTeam

  public init(count: Int) {
    team = ThreadTeam(count: count, mayRunHere: false) { [queue] _ in
      while let work = queue.wait(for: { queue -> (@Sendable () -> Void)?? in
        if queue.taken < queue.work.count { return .some(queue.take()) }
        return queue.isStopping ? .some(nil) : nil
      }) {
        work()
      }
    }
    // Waiting for work that nobody does would be worse.
    precondition(team.started > 0, "no thread can be started: raise the limit of processes (ulimit -u)")
  }

  public func submit(_ work: @escaping @Sendable () -> Void) {
    queue.update(waking: .one) { $0.work.append(work) }
  }

  /// Lets the threads end once nothing is left to do.
  public func stop() {
    queue.update { $0.isStopping = true }
  }

  /// Waits for them after `stop`.
  public func join() {
    team.wait()
  }

  /// The same, for some time.
  ///
  /// - Returns: whether they have ended.
  public func join(milliseconds: Int) -> Bool {
    team.wait(milliseconds: milliseconds)
  }

  deinit {
    stop()
  }
}
