import Coordinator
import Figures
import Glibc
import Synchronization

/// Shows progress: one line that is rewritten on a terminal, a plain line every few seconds elsewhere.
final class ProgressDisplay: Sendable {
  private struct State {
    var phase: Progress.Phase?
    var history: [(time: Double, done: Int)] = []
    var lastShown = 0.0
    var lineIsOpen = false
    var hasToldOfResuming = false
  }

  private let isShown: Bool
  private let isTerminal = isatty(2) == 1
  private let state = Mutex(State())

  private static let plainInterval = 5.0
  private static let terminalInterval = 0.1
  /// The rate is that of the last seconds.
  private static let rateWindow = 5.0

  init(console: Console) {
    isShown = !console.quiet && !console.json
  }

  static func now() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }

  func show(_ snapshot: Progress.Snapshot) {
    guard isShown else { return }
    let now = Self.now()
    state.withLock { state in
      if let resumed = snapshot.resumed, !state.hasToldOfResuming {
        state.hasToldOfResuming = true
        if state.lineIsOpen { Console.writeErrorRaw("\r\u{1B}[K") }
        let done = "\(Format.count(resumed.done)) of \(Format.plural(resumed.total, "shard"))"
        Console.writeError("going on with an interrupted merge: \(done) done, checking them")
      }
      if state.phase != snapshot.phase {
        state.phase = snapshot.phase
        state.history = [(now, snapshot.done)]
        if !isTerminal { state.lastShown = now }
      }
      guard now - state.lastShown >= (isTerminal ? Self.terminalInterval : Self.plainInterval) else { return }
      state.history.append((now, snapshot.done))
      while let first = state.history.first, now - first.time > Self.rateWindow, state.history.count > 2 {
        state.history.removeFirst()
      }
      state.lastShown = now
      let line = Self.line(snapshot, state.history)
      if isTerminal {
        Console.writeErrorRaw("\r\u{1B}[K" + line.prefix(Self.columns(of: 2) - 1))
        state.lineIsOpen = true
      } else {
        Console.writeError(line)
      }
    }
  }

  /// Takes the line away, so that other lines can follow.
  func finish() {
    state.withLock { state in
      if state.lineIsOpen { Console.writeErrorRaw("\r\u{1B}[K") }
      state.lineIsOpen = false
    }
  }

  private static func line(_ snapshot: Progress.Snapshot, _ history: [(time: Double, done: Int)]) -> String {
    let name = Format.padded(snapshot.phase.rawValue, 10)
    guard snapshot.total > 0 else { return "\(name) ..." }
    var rate = 0.0
    if let first = history.first, let last = history.last, last.time > first.time {
      rate = Double(last.done - first.done) / (last.time - first.time)
    }
    let percent = snapshot.done * 100 / snapshot.total
    let left = rate > 0 ? Format.duration(Double(snapshot.total - snapshot.done) / rate) : "-"
    return
      "\(name) \(Format.right("\(percent)", 3)) %  \(Format.bytes(snapshot.done)) of \(Format.bytes(snapshot.total))  \(Format.rate(rate))  ETA \(left)  \(snapshot.file)"
  }

  /// Characters in a line of the terminal that a descriptor leads to; 80 where it leads elsewhere.
  static func columns(of descriptor: Int32) -> Int {
    var size = winsize()
    guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 20 else { return 80 }
    return Int(size.ws_col)
  }
}
