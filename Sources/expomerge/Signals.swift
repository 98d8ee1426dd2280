import Coordinator
import Glibc
import Logging
import Synchronization
import Threads

/// Signals are taken by a thread that waits for them. None is lost or ends the process, however early it comes: those
/// that arrive before the thread does wait for it.
enum Signals {
  /// The first SIGINT or SIGTERM calls `end`; the next one ends the process as usual. To be called once, by the main
  /// thread before it starts others, which inherit that signals do not end them.
  ///
  /// - Parameters:
  ///   - notes: signals that do nothing but call `note`.
  ///   - note: gets the signal's name.
  ///   - end: gets the signal's name.
  static func take(
    noting notes: [Int32] = [], note: @escaping @Sendable (_ name: String) -> Void = { _ in },
    end: @escaping @Sendable (_ name: String) -> Void
  ) {
    let ends = set(of: [SIGINT, SIGTERM])
    let all = set(of: [SIGINT, SIGTERM] + notes)
    mask(SIG_BLOCK, all)
    let thread = ThreadTeam(count: 1, mayRunHere: false) { _ in
      var waited = all
      while true {
        var number: Int32 = 0
        guard sigwait(&waited, &number) == 0 else { continue }
        if notes.contains(number) {
          note(name(number))
          continue
        }
        // Blocked everywhere else, the next one comes here and finds nobody waiting for it.
        waited = set(of: notes)
        mask(SIG_UNBLOCK, ends)
        end(name(number))
        if notes.isEmpty { while true { pause() } }
      }
    }
    if thread.started == 0 { mask(SIG_UNBLOCK, all) }
  }

  /// The first SIGINT or SIGTERM cancels.
  static func take(cancelling cancellation: Cancellation) {
    take { _ in cancellation.cancel() }
  }

  /// Those of a daemon: SIGHUP reloads, and SIGUSR1 is noted and does no harm.
  static func take(
    logger: Logger, reload: @escaping @Sendable () -> Void, drain: @escaping @Sendable (_ reason: String) -> Void
  ) {
    take(
      noting: [SIGHUP, SIGUSR1],
      note: { name in
        if name == "SIGHUP" { reload() } else { logger.info("\(name): nothing to do") }
      }, end: drain)
  }

  private static func name(_ number: Int32) -> String {
    switch number {
    case SIGINT: "SIGINT"
    case SIGTERM: "SIGTERM"
    case SIGHUP: "SIGHUP"
    case SIGUSR1: "SIGUSR1"
    default: "signal \(number)"
    }
  }

  private static func set(of numbers: [Int32]) -> sigset_t {
    var set = sigset_t()
    sigemptyset(&set)
    for number in numbers { sigaddset(&set, number) }
    return set
  }

  private static func mask(_ how: Int32, _ set: sigset_t) {
    withUnsafePointer(to: set) { _ = pthread_sigmask(how, $0, nil) }
  }
}

/// A daemon's order to end, which may come before there is anything to end.
final class Drain: Sendable {
  private let state = Mutex<(reason: String?, drain: (@Sendable (String) -> Void)?)>((nil, nil))

  func request(_ reason: String) {
    let drain = state.withLock { state in
      state.reason = reason
      return state.drain
    }
    drain?(reason)
  }

  /// - Parameter drain: called with the reason, at once if there is one already.
  func serve(_ drain: @escaping @Sendable (_ reason: String) -> Void) {
    let reason = state.withLock { state in
      state.drain = drain
      return state.reason
    }
    if let reason { drain(reason) }
  }
}

/// An order to read settings again, which may come before there is anybody to do it.
final class Reloading: Sendable {
  private let work = Mutex<(@Sendable () -> Void)?>(nil)

  func request() { work.withLock { $0 }?() }
  func serve(_ work: @escaping @Sendable () -> Void) { self.work.withLock { $0 = work } }
}
