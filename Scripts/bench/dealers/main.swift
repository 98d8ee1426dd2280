import Diagnostics
import Digests
import Dispatch
import FoundationEssentials
import Glibc
import Kernels
import Planning
import Scheduling
import Threads
import Transport
import Wire
import ZeroMQ

// How soon a coordinator answers: many workers of one slot over sockets of their own, in one process. They compute
// nothing. Every one is a real `WorkerSession`, so that it beats and repeats as a worker does; a result is reported as
// soon as its slot has the shard, or at a steady rate of all workers together. Prints one JSON object; latencies are from
// the sending of a result to the next grant for the same worker, and so count encoding, both ways and decoding.

struct Options: Sendable {
  var coordinator = "tcp://127.0.0.1:\(Endpoint.defaultPort)"
  var workers = 200
  /// Results a second of all workers together; 0 for as many as the coordinator takes.
  var rate = 0
  var seconds = 5
  var warmUp = 1

  static let usage = """
    usage: dealers-bench [--coordinator ADDRESS] [--workers N] [--rate N] [--seconds N] [--warm-up N]

    """

  init(_ arguments: [String]) {
    var rest = arguments.dropFirst()
    while let name = rest.popFirst() {
      guard let value = rest.popFirst() else { Self.refuse() }
      if name == "--coordinator" {
        coordinator = value
        continue
      }
      guard let number = Int(value), (0...1_000_000).contains(number) else { Self.refuse() }
      switch name {
      case "--workers" where number > 0: workers = number
      case "--rate": rate = number
      case "--seconds" where number > 0: seconds = number
      case "--warm-up": warmUp = number
      default: Self.refuse()
      }
    }
  }

  private static func refuse() -> Never { fail(usage, EX_USAGE) }
}

func fail(_ message: String, _ status: Int32 = EX_UNAVAILABLE) -> Never {
  var text = message.hasSuffix("\n") ? message : "dealers-bench: \(message)\n"
  text.withUTF8 { _ = write(2, $0.baseAddress, $0.count) }
  exit(status)
}

/// A worker. Belongs to the loop's thread.
final class Dealer {
  let index: Int
  var session: WorkerSession
  var socket: Socket?
  var watch: EventLoop.Watch?
  var keys: [WorkerSession.TaskID: Attempt] = [:]
  /// Tasks whose slot waits for its result to be due.
  var computing: [WorkerSession.TaskID] = []
  /// When the results were sent that no grant has followed yet.
  var sent: [Int64] = []

  init(index: Int) {
    self.index = index
    let hello = WorkerMessage.Hello(
      name: "dealer-\(index)", host: "localhost", process: Int(getpid()), slots: 1, version: "bench", level: "none")
    session = WorkerSession(.init(hello: hello), seed: .random(in: 0...UInt64.max), at: .now)
  }
}

extension Instant {
  static var now: Instant { Instant(nanoseconds: bootNanoseconds()) }
}

actor Dealers {
  struct Report: Sendable, Encodable {
    var workers: Int
    var seconds: Double
    /// Reported and answered while it was measured.
    var results: Int
    var resultsPerSecond: Double
    /// In seconds.
    var p50: Double
    var p99: Double
    var most: Double
    /// Seconds of this process while it was measured.
    var processor: Double
  }

  nonisolated let loop = EventLoop(name: "dealers")
  nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }
  private nonisolated let options: Options
  private nonisolated let endpoint: Endpoint
  private nonisolated let context = Context()
  private nonisolated let completion: @Sendable (Report) -> Void

  private var dealers: [Dealer] = []
  private var ticks = 0
  private var timers: [EventLoop.Watch] = []
  private var data: Socket?
  private var dataWatch: EventLoop.Watch?
  private var plan: Plan?
  private var description: [UInt8] = []
  private var missing = 0
  /// Those that wait for the plan, and how many have it.
  private var waiting: [(dealer: Dealer, offer: CoordinatorMessage.JobOffer)] = []
  private var prepared = 0
  /// Whose turn it is.
  private var turn = 0
  private var reported = 0
  private var pacedSince: Int64?
  private var measuredSince: Int64?
  private var processorBefore = 0.0
  private var latencies: [Int64] = []

  init(_ options: Options, _ endpoint: Endpoint, completion: @escaping @Sendable (Report) -> Void) {
    self.options = options
    self.endpoint = endpoint
    self.completion = completion
  }

  nonisolated func start() {
    loop.perform { self.assumeIsolated { $0.begin() } }
  }

  private func begin() {
    latencies.reserveCapacity(1 << 20)
    // One after the other within a second, as workers of different nodes do not beat at the same moment.
    every(max(1, 1000 / options.workers)) { $0.join() }
    every(1) { $0.tick() }
    if options.rate > 0 { every(1) { $0.pace() } }
  }

  private func join() {
    guard dealers.count < options.workers else { return }
    let dealer = Dealer(index: dealers.count)
    dealers.append(dealer)
    tell(dealer, .tick)
  }

  /// Every worker has a tick each 100 ms.
  private func tick() {
    for dealer in dealers where dealer.index % 100 == ticks % 100 { tell(dealer, .tick) }
    ticks += 1
  }

  private func every(_ milliseconds: Int, _ body: @escaping @Sendable (isolated Dealers) -> Void) {
    timers.append(loop.every(milliseconds: milliseconds) { [weak self] in self?.assumeIsolated { body($0) } })
  }

  // MARK: workers

  private func tell(_ dealer: Dealer, _ event: WorkerSession.Event) {
    for command in dealer.session.handle(event, at: .now) { perform(command, of: dealer) }
  }

  private func perform(_ command: WorkerSession.Command, of dealer: Dealer) {
    switch command {
    case .connect: connect(dealer)
    case .send(let envelope): send(dealer.socket, envelope.encoded())
    case .prepare(let offer): prepare(dealer, offer)
    case .stage(let id, let key, _):
      dealer.keys[id] = key
      if !dealer.sent.isEmpty { answered(after: dealer.sent.removeFirst()) }
      tell(dealer, .staged(id))
    case .compute(let id):
      dealer.computing.append(id)
      if options.rate == 0 { report(dealer) }
    case .disconnect: fail("a session was lost")
    case .forget, .abandon: fail("the job is over")
    case .end: fail("the coordinator does not take these workers")
    case .fence, .note: break
    }
  }

  private func connect(_ dealer: Dealer) {
    do throws(ZeroMQError) {
      let socket = try Socket(.dealer, in: context, SocketOptions.connecting(to: endpoint, maxMessageSize: SocketOptions.control))
      try socket.connect(endpoint)
      dealer.socket = socket
      let index = dealer.index
      dealer.watch = loop.watch(socket) { [weak self] in self?.assumeIsolated { $0.receive($0.dealers[index]) } }
    } catch {
      fail("\(error)")
    }
  }

  private func send(_ socket: Socket?, _ bytes: [UInt8]) {
    guard (try? socket?.send([Frame(bytes)])) == .sent else { fail("cannot send") }
  }

  private func receive(_ dealer: Dealer) {
    while let (parts, _) = try? dealer.socket?.receive(partLimit: 1) {
      guard let envelope = try? parts[0].withBytes({ try CoordinatorEnvelope.decode($0) }) else {
        fail("a message that is not understood")
      }
      if case .welcome(let welcome) = envelope.message, data == nil { connectData(welcome) }
      tell(dealer, .received(envelope))
    }
  }

  // MARK: the plan

  private func prepare(_ dealer: Dealer, _ offer: CoordinatorMessage.JobOffer) {
    waiting.append((dealer, offer))
    if plan != nil { return answerOffers() }
    guard waiting.count == 1 else { return }
    description = [UInt8](repeating: 0, count: offer.descriptionBytes)
    missing = offer.descriptionBytes
    for offset in stride(from: 0, to: missing, by: Limits.chunkBytes) {
      let fetch = DataMessage.Fetch(
        session: dealer.session.session, tag: offset, job: offer.job, source: .description, file: 0, offset: offset,
        count: min(Limits.chunkBytes, missing - offset))
      send(data, DataMessage.fetch(fetch).encoded())
    }
  }

  private func connectData(_ welcome: CoordinatorMessage.Welcome) {
    do throws(ZeroMQError) {
      let socket = try Socket(.dealer, in: context, SocketOptions.connecting(to: endpoint, maxMessageSize: SocketOptions.data))
      try socket.connect(endpoint.resolving(dataPort: welcome.dataPort))
      dataWatch = loop.watch(socket) { [weak self] in self?.assumeIsolated { $0.receiveData() } }
      data = socket
    } catch {
      fail("\(error)")
    }
  }

  private func receiveData() {
    while let (parts, _) = try? data?.receive(partLimit: 2) {
      guard parts.count == 2, case .chunk(let answer)? = try? parts[0].withBytes({ try DataMessage.decode($0) }) else {
        fail("the description of the job was refused")
      }
      let bytes = parts[1].bytes
      description.replaceSubrange(answer.tag..<answer.tag + bytes.count, with: bytes)
      missing -= bytes.count
    }
    guard missing == 0, plan == nil else { return }
    do throws(Failure) { plan = try JobDescription.plan(from: description) } catch { fail("\(error)") }
    answerOffers()
  }

  /// All inputs are said to be at hand, and the output to be written directly: nobody looks for the bytes.
  private func answerOffers() {
    let offers = waiting
    waiting = []
    for (dealer, offer) in offers {
      let aligned = offer.aligned.files.map { _ in Access.direct }
      let sft = offer.sft.files.map { _ in Access.direct }
      prepared += 1
      tell(dealer, .prepared(.init(job: offer.job, aligned: aligned, sft: sft, output: .direct)))
    }
    if prepared == options.workers { beginMeasuring() }
  }

  // MARK: results

  /// Reports what is due, one worker after the other.
  private func pace() {
    guard let pacedSince else { return }
    let due = Int((bootNanoseconds() - pacedSince) / 1000 * Int64(options.rate) / 1_000_000)
    var tries = 0
    while reported < due, tries < dealers.count {
      turn = (turn + 1) % dealers.count
      tries = report(dealers[turn]) ? 0 : tries + 1
    }
  }

  /// - Returns: whether the worker had something to report.
  @discardableResult
  private func report(_ dealer: Dealer) -> Bool {
    // Until all are there nobody begins.
    guard let plan, pacedSince != nil, let id = dealer.computing.popLast(), let key = dealer.keys.removeValue(forKey: id)
    else { return false }
    let segments = plan.segments(of: plan.shard(key.shard)).map {
      WorkerMessage.Finished.Segment(pair: $0.pair, sums: .init(), differingBytes: 0)
    }
    reported += 1
    dealer.sent.append(bootNanoseconds())
    tell(dealer, .finished(id, digests: [Digest128(high: 0, low: UInt64(key.shard))], milliseconds: 1, segments: segments))
    return true
  }

  // MARK: measuring

  private func beginMeasuring() {
    pacedSince = bootNanoseconds()
    // What was granted before the last was ready.
    if options.rate == 0 { for dealer in dealers { report(dealer) } }
    every(10) { $0.measure() }
  }

  private func answered(after time: Int64) {
    if let measuredSince, time >= measuredSince { latencies.append(bootNanoseconds() - time) }
  }

  private func measure() {
    guard let pacedSince else { return }
    let time = bootNanoseconds()
    guard let since = measuredSince else {
      guard time - pacedSince >= Int64(options.warmUp) * 1_000_000_000 else { return }
      measuredSince = time
      processorBefore = processorSeconds()
      return
    }
    guard time - since >= Int64(options.seconds) * 1_000_000_000 else { return }
    guard !latencies.isEmpty else { fail("the coordinator grants nothing more: the job has too few shards") }
    end(Double(time - since) / 1e9)
  }

  private func end(_ seconds: Double) {
    let processor = processorSeconds() - processorBefore
    for timer in timers { loop.end(timer) }
    for dealer in dealers {
      let goodbye = WorkerEnvelope(
        session: dealer.session.session, epoch: dealer.session.epoch, message: .goodbye(.init(reason: "measured")))
      send(dealer.socket, goodbye.encoded())
      if let watch = dealer.watch { loop.end(watch) }
      dealer.socket = nil
    }
    if let dataWatch { loop.end(dataWatch) }
    data = nil
    latencies.sort()
    func quantile(_ part: Double) -> Double { Double(latencies[Int(Double(latencies.count - 1) * part)]) / 1e9 }
    completion(
      .init(
        workers: options.workers, seconds: seconds, results: latencies.count,
        resultsPerSecond: Double(latencies.count) / seconds, p50: quantile(0.5), p99: quantile(0.99), most: quantile(1),
        processor: processor))
  }
}

/// Of all threads of this process.
func processorSeconds() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

let options = Options(CommandLine.arguments)
guard let endpoint = try? Endpoint(options.coordinator) else { fail("\(options.coordinator) is not an address", EX_USAGE) }
let done = DispatchSemaphore(value: 0)
let dealers = Dealers(options, endpoint) { report in
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.sortedKeys]
  guard let text = try? encoder.encode(report) else { fail("cannot encode the report") }
  print(String(decoding: text, as: UTF8.self))
  done.signal()
}
dealers.start()
done.wait()
dealers.loop.stop()
