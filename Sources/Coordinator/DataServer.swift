import Diagnostics
import Digests
import FileIO
import Planning
import Scheduling
import Synchronization
import Threads
import Wire
import Worker
import ZeroMQ

/// The coordinator's side of the data socket: reads slices for workers, takes in what they computed. Runs on the loop;
/// files are read and written by threads of its own.
actor DataServer {
  /// A shard that a worker streams: written and digested chunk by chunk, in order.
  ///
  /// Sound to send: the next chunk is handed to a thread only when the loop has heard that the last is written.
  final class Stream: @unchecked Sendable {
    let key: Attempt
    let shard: Plan.Shard
    let file: File

    private var hash = XXH3()
    private var written = 0
    private let ended = Atomic(false)

    init(key: Attempt, shard: Plan.Shard, file: File) {
      self.key = key
      self.shard = shard
      self.file = file
    }

    /// Nothing is written any more.
    func end() { ended.store(true, ordering: .releasing) }
    var hasEnded: Bool { ended.load(ordering: .acquiring) }

    /// By one thread at a time.
    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(Failure) {
      if hasEnded { return }
      try file.write(bytes, at: shard.range.lowerBound + offset)
      hash.update(bytes)
      written += bytes.count
    }

    /// Of all bytes, once they are there.
    var digest: Digest128? { written == shard.range.count ? hash.digest() : nil }
  }

  /// A chunk that waits to be written.
  private struct Chunk {
    let frame: Frame
    let offset: Int
    let tag: Int
    let route: [UInt8]
  }

  private struct Inflow {
    let stream: Stream
    /// The offset of the chunk that comes next.
    var expected = 0
    var waiting: [Chunk] = []
    var isWriting = false
  }

  private struct Outflow {
    var reading = 0
    var waiting: [DataMessage.Fetch] = []
  }

  nonisolated let loop: EventLoop
  nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }
  private let readThreads: ThreadPool
  private let writeThreads: ThreadPool
  private let pool = SliceMemoryPool(limit: 64)
  private var inflows: [Attempt: Inflow] = [:]
  private var outflows: [[UInt8]: Outflow] = [:]
  /// Writes under way, by job: publishing waits for them.
  private var writes: [JobID: Int] = [:]

  /// Fetches of one worker that are read at a time, and that wait.
  private static let readLimit = 16
  private static let queueLimit = 4096

  private let send: @Sendable ([UInt8], DataMessage, Frame?) -> Void
  private let didBecomeQuiet: @Sendable (JobID) -> Void

  /// - Parameters:
  ///   - send: called on the loop.
  ///   - didBecomeQuiet: called on the loop when no write of a job is under way any more.
  init(
    loop: EventLoop, readThreads: ThreadPool, writeThreads: ThreadPool, send: @escaping @Sendable ([UInt8], DataMessage, Frame?) -> Void,
    didBecomeQuiet: @escaping @Sendable (JobID) -> Void
  ) {
    self.loop = loop
    self.readThreads = readThreads
    self.writeThreads = writeThreads
    self.send = send
    self.didBecomeQuiet = didBecomeQuiet
  }

  // MARK: fetches

  /// - Parameter merge: the job's; nil where it is not running.
  func fetch(_ fetch: DataMessage.Fetch, from route: [UInt8], merge: PreparedMerge?) {
    if outflows[route] == nil { outflows[route] = Outflow() }
    guard outflows[route]!.reading < Self.readLimit else {
      if outflows[route]!.waiting.count < Self.queueLimit { return outflows[route]!.waiting.append(fetch) }
      return refuse(fetch.tag, route, "too much is asked for at a time")
    }
    guard let merge else { return refuse(fetch.tag, route, "there is no such job") }
    let range = fetch.offset..<fetch.offset + fetch.count
    if fetch.source == .description {
      guard range.upperBound <= merge.description.count else {
        return refuse(fetch.tag, route, "the range lies outside of the description")
      }
      return send(route, .chunk(.init(tag: fetch.tag)), Frame(merge.description[range]))
    }
    guard let file = merge.source(fetch.source, file: fetch.file) else {
      return refuse(fetch.tag, route, "there is no such file")
    }
    outflows[route]!.reading += 1
    readThreads.submit { [loop, pool] in
      let result: Result<Frame, Failure>
      do throws(Failure) {
        result = .success(try Self.read(fetch.offset..<fetch.offset + fetch.count, of: file, pool))
      } catch {
        result = .failure(error)
      }
      loop.perform { self.assumeIsolated { $0.didRead(fetch.tag, route, result, merge) } }
    }
  }

  /// Not mapped: libzmq ends the process when a page of what it sends is gone.
  private static func read(_ range: Range<Int>, of file: File, _ pool: SliceMemoryPool) throws(Failure) -> Frame {
    guard let memory = pool.take(range.count) else {
      return try Frame(count: range.count) { (bytes) throws(Failure) in try file.read(into: bytes, at: range.lowerBound) }
    }
    let bytes = UnsafeMutableRawBufferPointer(rebasing: memory.bytes[..<range.count])
    try file.read(into: bytes, at: range.lowerBound)
    return Frame(borrowing: UnsafeRawBufferPointer(bytes)) { withExtendedLifetime(memory) {} }
  }

  private func didRead(
    _ tag: Int, _ route: [UInt8], _ result: Result<Frame, Failure>, _ merge: PreparedMerge
  ) {
    switch result {
    case .success(let frame): send(route, .chunk(.init(tag: tag)), frame)
    case .failure(let failure): send(route, .refused(.init(tag: tag, problem: ProblemReport(failure.problems[0]))), nil)
    }
    outflows[route]?.reading -= 1
    guard var outflow = outflows[route] else { return }
    guard !outflow.waiting.isEmpty else {
      if outflow.reading == 0 { outflows[route] = nil }
      return
    }
    let next = outflow.waiting.removeFirst()
    outflows[route] = outflow
    fetch(next, from: route, merge: next.job == merge.offer.job ? merge : nil)
  }

  private func refuse(_ tag: Int, _ route: [UInt8], _ message: String) {
    send(route, .refused(.init(tag: tag, problem: ProblemReport(Problem(.dataRefused, message)))), nil)
  }

  // MARK: stores

  /// - Parameter merge: of a lease that the sender holds; nil where it does not.
  func store(_ store: DataMessage.Store, _ frame: Frame, from route: [UInt8], merge: PreparedMerge?) {
    guard let merge, store.key.shard < merge.plan.shardCount else {
      return refuse(store.tag, route, "the lease is over")
    }
    let shard = merge.plan.shard(store.shard)
    guard frame.count > 0, frame.count <= Limits.chunkBytes, store.offset + frame.count <= shard.range.count else {
      return refuse(store.tag, route, "the chunk lies outside of its shard")
    }
    var inflow = inflows[store.key] ?? Inflow(stream: Stream(key: store.key, shard: shard, file: merge.files[shard.file]))
    if store.offset + frame.count <= inflow.expected {
      // Said again after a lost connection; the answer was lost.
      send(route, .stored(.init(tag: store.tag)), nil)
    } else if store.offset == inflow.expected {
      inflow.expected += frame.count
      inflow.waiting.append(Chunk(frame: frame, offset: store.offset, tag: store.tag, route: route))
    }
    // A gap is filled when the worker says again what was lost.
    inflows[store.key] = inflow
    writeNext(store.key)
  }

  private func writeNext(_ key: Attempt) {
    guard var inflow = inflows[key], !inflow.isWriting, !inflow.waiting.isEmpty else { return }
    let chunk = inflow.waiting.removeFirst()
    inflow.isWriting = true
    let stream = inflow.stream
    inflows[key] = inflow
    writes[key.job, default: 0] += 1
    writeThreads.submit { [loop] in
      var problem: Problem?
      do throws(Failure) {
        try chunk.frame.withBytes { bytes throws(Failure) in try stream.write(bytes, at: chunk.offset) }
      } catch {
        problem = error.problems[0]
      }
      let report = problem.map { ProblemReport($0) }
      let (tag, route) = (chunk.tag, chunk.route)
      loop.perform { self.assumeIsolated { $0.didWrite(key, tag, route, report) } }
    }
  }

  private func didWrite(_ key: Attempt, _ tag: Int, _ route: [UInt8], _ problem: ProblemReport?) {
    writes[key.job, default: 1] -= 1
    inflows[key]?.isWriting = false
    if let problem {
      send(route, .refused(.init(tag: tag, problem: problem)), nil)
      inflows[key]?.waiting = []
    } else {
      send(route, .stored(.init(tag: tag)), nil)
      writeNext(key)
    }
    if isQuiet(key.job) {
      writes[key.job] = nil
      didBecomeQuiet(key.job)
    }
  }

  func isQuiet(_ job: JobID) -> Bool { writes[job, default: 0] == 0 }

  /// The digest of what was received of a lease, once it is complete.
  func digest(of key: Attempt) -> Digest128? {
    guard let inflow = inflows[key], !inflow.isWriting, inflow.waiting.isEmpty else { return nil }
    return inflow.stream.digest
  }

  func end(_ key: Attempt) {
    inflows.removeValue(forKey: key)?.stream.end()
  }
}

extension Problem.Code {
  static let dataRefused = Self("data-refused")
}
