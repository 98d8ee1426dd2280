import CLinux
import Dispatch
import Glibc

/// Threads for work that blocks: computing, reading, writing. Never the cooperative pool, which must not block.
public final class ThreadTeam: Sendable {
  private let group = DispatchGroup()
  /// Threads that run, or have run.
  public let started: Int

  /// Starts up to `count` threads, as many as there can be, that each run `body` once. `body` must share out the work
  /// itself, as fewer threads may start.
  ///
  /// - Parameter mayRunHere: whether the caller runs `body` where no thread can be started.
  public init(count: Int, mayRunHere: Bool = true, body: @escaping @Sendable (_ index: Int) -> Void) {
    started = Self.start(count, group, mayRunHere: mayRunHere, body)
  }

  /// - Returns: how many threads were started.
  private static func start(
    _ count: Int, _ group: DispatchGroup, mayRunHere: Bool, _ body: @escaping @Sendable (_ index: Int) -> Void
  ) -> Int {
    for index in 0..<count {
      group.enter()
      let start = Start {
        body(index)
        group.leave()
      }
      let argument = Unmanaged.passRetained(start)
      var thread = pthread_t()
      let status = pthread_create(
        &thread, nil,
        { argument in
          guard let argument else { return nil }
          Unmanaged<Start>.fromOpaque(argument).takeRetainedValue().body()
          return nil
        }, argument.toOpaque())
      if status == 0 {
        pthread_detach(thread)
        continue
      }
      // Short of threads: those that started do the work, or else this one does.
      argument.release()
      group.leave()
      if index == 0 && mayRunHere { body(0) }
      return index
    }
    return count
  }

  private final class Start: Sendable {
    let body: @Sendable () -> Void

    init(_ body: @escaping @Sendable () -> Void) {
      self.body = body
    }
  }

  /// Waits for all threads to end.
  ///
  /// - Returns: whether they have, within the time.
  public func wait(milliseconds: Int) -> Bool {
    group.wait(timeout: .now() + .milliseconds(milliseconds)) == .success
  }

  public func wait() {
    group.wait()
  }

  /// The CPUs that this process may use; sched_getaffinity(2).
  public static var availableCPUs: Int { max(1, Int(linux_available_cpus())) }

  /// Runs `body` on `count` threads and waits.
  public static func run(count: Int, body: @escaping @Sendable (_ index: Int) -> Void) {
    ThreadTeam(count: count, body: body).wait()
  }
}
