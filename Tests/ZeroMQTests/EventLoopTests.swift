import Glibc
import Testing

@testable import ZeroMQ

/// Answers every message with its bytes reversed, on a loop.
private actor Echo {
  nonisolated let loop: EventLoop
  nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }
  private let socket: Socket
  private var watch: EventLoop.Watch?
  private(set) var threads: Set<UInt> = []

  init(loop: EventLoop, context: Context, endpoint: String) throws {
    self.loop = loop
    socket = try Socket(.router, in: context, [.linger(0)])
    try socket.bind(endpoint)
  }

  func start() {
    watch = loop.watch(socket) { [weak self] in self?.assumeIsolated { $0.answer() } }
  }

  func stop() {
    if let watch { loop.end(watch) }
  }

  private func answer() {
    threads.insert(UInt(pthread_self()))
    while let (parts, _) = try? socket.receive(partLimit: 2) {
      _ = try? socket.send([parts[0], Frame(parts[1].bytes.reversed())])
    }
  }

  func note() { threads.insert(UInt(pthread_self())) }
}

@Suite struct EventLoopTests {
  @Test("an actor's socket is served on the loop's thread, as are calls of the actor")
  func serves() async throws {
    let (loop, context) = (EventLoop(), Context())
    let echo = try Echo(loop: loop, context: context, endpoint: "inproc://echo")
    await echo.start()
    let dealer = try Socket(.dealer, in: context, [.linger(0)])
    try dealer.connect("inproc://echo")
    for number in 0..<100 {
      #expect(try dealer.send([Frame([UInt8(number), 255])]) == .sent)
      #expect(try dealer.wait(milliseconds: 10_000))
      #expect(try dealer.receive(partLimit: 1)?.parts[0].bytes == [255, UInt8(number)])
      if number % 10 == 0 { await echo.note() }
    }
    let threads = await echo.threads
    #expect(threads.count == 1)
    #expect(threads.first != UInt(pthread_self()))
    await echo.stop()
    loop.stop()
  }

  @Test("closures run in the order of their calls")
  func order() {
    let loop = EventLoop()
    let box = Box()
    for number in 0..<1000 { loop.perform { box.values.append(number) } }
    loop.stop()
    #expect(box.values == Array(0..<1000))
  }

  @Test("what is asked of a loop that has ended is not kept")
  func ended() {
    let loop = EventLoop()
    loop.stop()
    var box: Box? = Box()
    weak let kept = box
    loop.perform { [box] in box?.values.append(1) }
    box = nil
    #expect(kept == nil)
  }

  /// Touched on the loop, and after it has stopped.
  private final class Box: @unchecked Sendable {
    var values: [Int] = []
    var watch: EventLoop.Watch?
  }

  @Test("a timer fires until it is ended")
  func timer() {
    let loop = EventLoop()
    let counter = Counter()
    let box = Box()
    loop.perform {
      box.watch = loop.every(milliseconds: 1) {
        counter.add()
        if counter.value == 3, let watch = box.watch { loop.end(watch) }
      }
    }
    counter.waitUntil(3)
    loop.stop()
    #expect(counter.value == 3)
  }
}
