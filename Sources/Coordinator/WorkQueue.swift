public import Diagnostics
import Synchronization
import Threads

/// A request to stop, from any thread or from a signal's handler queue.
public final class Cancellation: Sendable {
  private let flag = Atomic(false)

  public init() {}

  public func cancel() { flag.store(true, ordering: .releasing) }
  public var isCancelled: Bool { flag.load(ordering: .acquiring) }
}

/// Hands out numbered pieces of work to threads, and remembers the first failure, which ends the work.
final class WorkQueue: Sendable {
  private let count: Int
  private let next = Atomic(0)
  private let stopped = Atomic(false)
  private let failure = Mutex<Failure?>(nil)
  private let cancellation: Cancellation

  init(count: Int, cancellation: Cancellation) {
    self.count = count
    self.cancellation = cancellation
  }

  var mayContinue: Bool { !stopped.load(ordering: .acquiring) && !cancellation.isCancelled }

  /// The next piece; nil when there is none or the work has ended.
  func take() -> Int? {
    guard mayContinue else { return nil }
    let piece = next.wrappingAdd(1, ordering: .relaxed).oldValue
    return piece < count ? piece : nil
  }

  func fail(_ error: Failure) {
    failure.withLock { if $0 == nil { $0 = error } }
    stopped.store(true, ordering: .releasing)
  }

  /// Runs `body` on threads until all pieces are done.
  ///
  /// - Parameters:
  ///   - tick: called on this thread ten times a second meanwhile.
  /// - Throws: the first failure, or `interrupted` when it was cancelled.
  func run(
    threads: Int, tick: () -> Void = {}, body: @escaping @Sendable (WorkQueue) throws(Failure) -> Void
  ) throws(Failure) {
    let team = ThreadTeam(count: max(1, min(threads, count))) { _ in
      do throws(Failure) { try body(self) } catch { self.fail(error) }
    }
    while !team.wait(milliseconds: 100) { tick() }
    tick()
    if let failure = failure.withLock({ $0 }) { throw failure }
    if cancellation.isCancelled { throw Failure(.interrupted, Problem(.interrupted, "stopped")) }
  }
}

extension Problem.Code {
  public static let interrupted = Self("interrupted")
}
