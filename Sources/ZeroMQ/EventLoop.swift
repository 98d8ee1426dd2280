import CLinux
import CZeroMQ
import Glibc
import Synchronization

/// A thread that owns sockets: it waits for them with zmq_poll(3), and runs the actors that name it as their executor.
///
/// An actor with `unownedExecutor` from here runs on this thread only, so a `Socket` that it keeps is never used by
/// another. That is checked by the compiler, as sockets are not Sendable.
public final class EventLoop: SerialExecutor {
  private enum Work {
    case job(UnownedJob)
    case closure(@Sendable () -> Void)
  }

  private struct Inbox {
    var work: [Work] = []
    var isStopping = false
    /// Nobody takes anything out any more. What is put in would keep what it refers to, this loop too, for ever.
    var hasEnded = false
  }

  private let inbox = Mutex(Inbox())
  private let wakeup: Int32
  private let thread: Mutex<pthread_t?> = Mutex(nil)
  // Touched on the loop's own thread only, as `checkIsolated` makes sure.
  nonisolated(unsafe) private let state = State()

  private final class State {
    struct Source {
      let id: Int
      let socket: UnsafeMutableRawPointer
      let handler: () -> Void
    }

    struct Timer {
      let id: Int
      let interval: Int
      var due: Int
      let handler: () -> Void
    }

    var sources: [Source] = []
    var timers: [Timer] = []
    var nextID = 0
  }

  /// - Parameter name: of the thread, at most 15 characters.
  public init(name: String = "zeromq") {
    wakeup = linux_eventfd()
    precondition(wakeup >= 0, "out of file descriptors")
    let start = Unmanaged.passRetained(Start(loop: self, name: String(name.prefix(15))))
    var thread = pthread_t()
    let status = pthread_create(
      &thread, nil,
      { argument in
        guard let argument else { return nil }
        let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
        linux_name_thread(start.name)
        start.loop.run()
        return nil
      }, start.toOpaque())
    precondition(status == 0, "out of threads")
    self.thread.withLock { $0 = thread }
  }

  private final class Start {
    let loop: EventLoop
    let name: String

    init(loop: EventLoop, name: String) {
      self.loop = loop
      self.name = name
    }
  }

  deinit {
    close(wakeup)
  }

  /// Ends the thread, after what was asked of it before, and waits for it. Not from the loop itself.
  public func stop() {
    let wasStopping = inbox.withLock { inbox in
      defer { inbox.isStopping = true }
      return inbox.isStopping
    }
    guard !wasStopping, let thread = thread.withLock({ $0 }) else { return }
    wake()
    pthread_join(thread, nil)
  }

  // MARK: from any thread

  public func enqueue(_ job: consuming ExecutorJob) {
    add(.job(UnownedJob(job)))
  }

  /// Runs `closure` on the loop, in the order of the calls; lets go of it where the loop has ended.
  public func perform(_ closure: @escaping @Sendable () -> Void) {
    add(.closure(closure))
  }

  private func add(_ work: Work) {
    let isFirst = inbox.withLock { inbox in
      if inbox.hasEnded { return false }
      inbox.work.append(work)
      return inbox.work.count == 1
    }
    if isFirst { wake() }
  }

  private func wake() {
    var one: UInt64 = 1
    // Full means that it is awake anyway.
    _ = write(wakeup, &one, 8)
  }

  private var isOnLoop: Bool {
    thread.withLock { thread in thread.map { pthread_equal($0, pthread_self()) != 0 } ?? false }
  }

  public func checkIsolated() {
    precondition(isOnLoop, "only on the event loop's thread")
  }

  // MARK: on the loop

  public struct Watch: Sendable {
    fileprivate let id: Int
  }

  /// Calls `handler` whenever the socket has something to receive. Must be ended before the socket goes.
  public func watch(_ socket: Socket, handler: @escaping () -> Void) -> Watch {
    checkIsolated()
    state.nextID += 1
    state.sources.append(.init(id: state.nextID, socket: socket.handle, handler: handler))
    return Watch(id: state.nextID)
  }

  /// Calls `handler` again and again.
  public func every(milliseconds: Int, handler: @escaping () -> Void) -> Watch {
    checkIsolated()
    state.nextID += 1
    state.timers.append(
      .init(id: state.nextID, interval: milliseconds, due: Self.now() + milliseconds, handler: handler))
    return Watch(id: state.nextID)
  }

  public func end(_ watch: Watch) {
    checkIsolated()
    state.sources.removeAll { $0.id == watch.id }
    state.timers.removeAll { $0.id == watch.id }
  }

  private static func now() -> Int {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return time.tv_sec * 1000 + time.tv_nsec / 1_000_000
  }

  private func run() {
    // The thread's handle is known to others only after pthread_create has returned.
    thread.withLock { $0 = pthread_self() }
    while true {
      let (work, isStopping) = inbox.withLock { inbox in
        defer { inbox.work.removeAll(keepingCapacity: true) }
        inbox.hasEnded = inbox.isStopping && inbox.work.isEmpty
        return (inbox.work, inbox.isStopping)
      }
      for piece in work {
        switch piece {
        case .job(let job): job.runSynchronously(on: asUnownedSerialExecutor())
        case .closure(let closure): closure()
        }
      }
      if isStopping {
        if work.isEmpty { break }
        continue
      }
      runTimers()
      poll()
    }
    state.sources = []
    state.timers = []
  }

  private func runTimers() {
    let now = Self.now()
    for timer in state.timers where timer.due <= now {
      // One that an earlier handler has ended is not called.
      guard let index = state.timers.firstIndex(where: { $0.id == timer.id }) else { continue }
      state.timers[index].due = now + timer.interval
      timer.handler()
    }
  }

  private func poll() {
    var timeout = -1
    if let due = state.timers.map(\.due).min() { timeout = max(0, due - Self.now()) }
    var items = [zmq_pollitem_t(socket: nil, fd: wakeup, events: Int16(ZMQ_POLLIN), revents: 0)]
    let sources = state.sources
    for source in sources {
      items.append(zmq_pollitem_t(socket: source.socket, fd: 0, events: Int16(ZMQ_POLLIN), revents: 0))
    }
    guard zmq_poll(&items, Int32(items.count), timeout) > 0 else { return }
    if items[0].revents != 0 {
      var count: UInt64 = 0
      _ = read(wakeup, &count, 8)
    }
    for (source, item) in zip(sources, items.dropFirst()) where item.revents != 0 {
      guard state.sources.contains(where: { $0.id == source.id }) else { continue }
      source.handler()
    }
  }
}
