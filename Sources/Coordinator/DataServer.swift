import Diagnostics
import Digests
import FileIO
import Planning
import Scheduling
import SystemPackage
import Synchronization
import Threads
import Wire
import Worker
import ZeroMQ

/// The coordinator's side of the data socket: reads slices for workers, takes in what they computed. Runs on the loop;
/// files are read and written by threads of its own.
actor DataServer {
  /// A shard that a worker streams (`ShardStream`): written and digested chunk by chunk, in order.
  ///
  /// Sound to send: the next chunk is handed to a thread only when the loop has heard that the last is written.
  final class Stream: @unchecked Sendable {
    let key: Attempt
    let shard: Plan.Shard
    /// Of each variant.
    private let files: [File]
    let layout: ShardStream

    private let digests: [BlockDigest]
    private var written = 0
    private let ended = Atomic(false)

    private static let blockSize = 256 << 10

    init(key: Attempt, shard: Plan.Shard, files: [File]) {
      self.key = key
      self.shard = shard
      self.files = files
      layout = ShardStream(shardBytes: shard.range.count, variants: files.count)
      digests = files.map { _ in BlockDigest() }
    }

    /// Nothing is written any more.
    func end() { ended.store(true, ordering: .releasing) }
    var hasEnded: Bool { ended.load(ordering: .acquiring) }

    /// By one thread at a time.
    ///
    /// - Parameter position: bytes of the stream.
    func write(_ bytes: UnsafeRawBufferPointer, at position: Int) throws(Failure) {
      if hasEnded { return }
      let (variant, range) = layout.place(of: position)
      // In pieces that stay in a core's cache from the file to the digest.
      for start in stride(from: 0, to: bytes.count, by: Self.blockSize) {
        let block = UnsafeRawBufferPointer(rebasing: bytes[start..<min(start + Self.blockSize, bytes.count)])
        try files[variant].write(block, at: shard.range.lowerBound + range.lowerBound + start)
        digests[variant].update(block)
      }
      written += bytes.count
    }

    /// Of all bytes, once they are there.
    var digest: Digest128? { written == layout.count ? Digest128(combining: digests.map(\.digest)) : nil }
  }

  /// A chunk that waits to be written.
  private struct Chunk {
    let frame: Frame
    let session: SessionID
    let offset: Int
    var tag: Int
    var route: [UInt8]
  }

  private struct Inflow {
    let stream: Stream
    /// The offset of the chunk that comes next.
    var expected = 0
    /// Bytes that are in the file.
    var written = 0
    var waiting: [Chunk] = []
    var writing: Chunk?
  }

  private struct Outflow {
    /// Bytes that are read or being sent.
    var underWay = 0
    var waiting: [(DataMessage.Fetch, JobSource, route: [UInt8])] = []
  }

  nonisolated let loop: EventLoop
  nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }
  /// Bytes of stores of one worker that may be unanswered.
  private let window: Int
  private let readThreads: ThreadPool
  private let writeThreads: ThreadPool
  private let pool = SliceMemoryPool(limit: 16)
  private var inflows: [Attempt: Inflow] = [:]
  private var outflows: [SessionID: Outflow] = [:]
  /// Bytes that are read or being sent, for all.
  private var underWay = 0
  /// Bytes of stores that are not written yet.
  private var unwritten: [SessionID: Int] = [:]
  /// Stores that were dropped, as their senders do not keep to the window.
  private(set) var beyondWindow = 0
  /// Writes under way, by job: publishing waits for them.
  private var writes: [JobID: Int] = [:]

  /// Bytes for one worker that are under way at a time, for all, and fetches that wait. A worker for which nothing is under
  /// way gets a chunk all the same: others that do not read cannot keep it from going on.
  private static let readLimit = 24 << 20
  private static let totalReadLimit = 192 << 20
  private static let queueLimit = 4096

  private let send: @Sendable ([UInt8], DataMessage, Frame?) -> Void
  private let didBecomeQuiet: @Sendable (JobID) -> Void

  /// - Parameters:
  ///   - send: called on the loop.
  ///   - didBecomeQuiet: called on the loop when no write of a job is under way any more.
  init(
    loop: EventLoop, window: Int, readThreads: ThreadPool, writeThreads: ThreadPool, send: @escaping @Sendable ([UInt8], DataMessage, Frame?) -> Void,
    didBecomeQuiet: @escaping @Sendable (JobID) -> Void
  ) {
    self.loop = loop
    self.window = window
    self.readThreads = readThreads
    self.writeThreads = writeThreads
    self.send = send
    self.didBecomeQuiet = didBecomeQuiet
  }

  // MARK: fetches

  /// - Parameter job: the one that is asked for; nil where it is not running.
  func fetch(_ fetch: DataMessage.Fetch, from route: [UInt8], of job: JobSource?) {
    guard let job else { return refuse(fetch.tag, route, "there is no such job") }
    guard outflows[fetch.session, default: Outflow()].waiting.count < Self.queueLimit else {
      return refuse(fetch.tag, route, "too much is asked for at a time")
    }
    outflows[fetch.session, default: Outflow()].waiting.append((fetch, job, route))
    readNext(fetch.session)
  }

  /// Forgets what a session has asked for and not got.
  func forget(_ session: SessionID) {
    outflows[session]?.waiting = []
  }

  /// Starts reading what is next for a worker, as far as it may be under way.
  private func readNext(_ session: SessionID) {
    while let outflow = outflows[session], !outflow.waiting.isEmpty,
      outflow.underWay == 0 || outflow.underWay < Self.readLimit && underWay < Self.totalReadLimit
    {
      guard let (fetch, job, route) = outflows[session]?.waiting.removeFirst() else { break }
      outflows[session]?.underWay += fetch.count
      underWay += fetch.count
      read(fetch, of: job, for: route)
    }
    if let outflow = outflows[session], outflow.underWay == 0, outflow.waiting.isEmpty { outflows[session] = nil }
  }

  private func read(_ fetch: DataMessage.Fetch, of job: JobSource, for route: [UInt8]) {
    // A chunk counts until libzmq has sent it: a peer that does not read costs no more than its share of memory.
    let didSend: @Sendable () -> Void = { [loop] in
      loop.perform { self.assumeIsolated { $0.didSend(fetch.count, fetch.session) } }
    }
    let range = fetch.offset..<fetch.offset + fetch.count
    if fetch.source == .description {
      guard range.upperBound <= job.description.count else {
        refuse(fetch.tag, route, "the range lies outside of the description")
        return didSend()
      }
      guard let memory = pool.take(range.count) else {
        refuse(fetch.tag, route, "the coordinator has no memory left")
        return didSend()
      }
      memory.bytes.copyBytes(from: job.description[range])
      let frame = Frame(borrowing: UnsafeRawBufferPointer(rebasing: memory.bytes[..<range.count])) {
        withExtendedLifetime(memory) {}
        didSend()
      }
      return send(route, .chunk(.init(tag: fetch.tag)), frame)
    }
    guard let file = job.file(fetch.source, fetch.file) else {
      refuse(fetch.tag, route, "there is no such file")
      return didSend()
    }
    readThreads.submit { [loop, pool] in
      let result: Result<Frame, Failure>
      do throws(Failure) {
        result = .success(try Self.read(range, of: file, pool, didSend))
      } catch {
        didSend()
        result = .failure(error)
      }
      loop.perform { self.assumeIsolated { $0.didRead(fetch.tag, route, result) } }
    }
  }

  /// Not mapped: libzmq ends the process when a page of what it sends is gone.
  private static func read(
    _ range: Range<Int>, of file: File, _ pool: SliceMemoryPool, _ release: @escaping @Sendable () -> Void
  ) throws(Failure) -> Frame {
    guard let memory = pool.take(range.count) else {
      throw Failure(.inputOutput, Problem(.dataRefused, "the coordinator has no memory left", file: file.path.string))
    }
    let bytes = UnsafeMutableRawBufferPointer(rebasing: memory.bytes[..<range.count])
    try file.read(into: bytes, at: range.lowerBound)
    return Frame(borrowing: UnsafeRawBufferPointer(bytes)) {
      withExtendedLifetime(memory) {}
      release()
    }
  }

  private func didRead(_ tag: Int, _ route: [UInt8], _ result: Result<Frame, Failure>) {
    switch result {
    case .success(let frame): send(route, .chunk(.init(tag: tag)), frame)
    case .failure(let failure): send(route, .refused(.init(tag: tag, problem: ProblemReport(failure.problems[0]))), nil)
    }
  }

  private func didSend(_ bytes: Int, _ session: SessionID) {
    outflows[session]?.underWay -= bytes
    underWay -= bytes
    readNext(session)
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
    var inflow =
      inflows[store.key]
      ?? Inflow(stream: Stream(key: store.key, shard: shard, files: merge.plan.outputs(of: shard.file).map { merge.files[$0] }))
    let layout = inflow.stream.layout
    guard frame.count > 0, frame.count <= Limits.chunkBytes, store.offset < layout.count,
      frame.count <= layout.place(of: store.offset).range.count
    else { return refuse(store.tag, route, "the chunk lies outside of its shard") }
    let end = store.offset + frame.count
    if end <= inflow.written {
      // Said again after a lost connection; the answer was lost.
      send(route, .stored(.init(tag: store.tag)), nil)
    } else if let index = inflow.waiting.firstIndex(where: { $0.offset == store.offset }) {
      // Said again while it waits: it is answered when it is written.
      inflow.waiting[index].tag = store.tag
      inflow.waiting[index].route = route
    } else if inflow.writing?.offset == store.offset {
      inflow.writing?.tag = store.tag
      inflow.writing?.route = route
    } else if store.offset == inflow.expected {
      let waiting = unwritten[store.session, default: 0] + frame.count
      // Twice, as chunks of leases that are over may still be on their way to the disk. It is said again, as if it were lost.
      if waiting > 2 * window {
        beyondWindow += 1
      } else {
        unwritten[store.session] = waiting
        inflow.expected += frame.count
        inflow.waiting.append(Chunk(frame: frame, session: store.session, offset: store.offset, tag: store.tag, route: route))
      }
    }
    // A gap is filled when the worker says again what was lost.
    inflows[store.key] = inflow
    writeNext(store.key)
  }

  private func writeNext(_ key: Attempt) {
    guard var inflow = inflows[key], inflow.writing == nil, !inflow.waiting.isEmpty else { return }
    let chunk = inflow.waiting.removeFirst()
    inflow.writing = chunk
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
      let (session, count) = (chunk.session, chunk.frame.count)
      loop.perform {
        self.assumeIsolated { server in
          server.noLongerWaits(count, session)
          server.didWrite(key, stream, report)
        }
      }
    }
  }

  private func didWrite(_ key: Attempt, _ stream: Stream, _ problem: ProblemReport?) {
    writes[key.job, default: 1] -= 1
    // The lease may have ended meanwhile.
    if let inflow = inflows[key], inflow.stream === stream, let chunk = inflow.writing {
      inflows[key]?.writing = nil
      if let problem {
        send(chunk.route, .refused(.init(tag: chunk.tag, problem: problem)), nil)
        refuseWaiting(key, "a chunk before it could not be written")
      } else {
        inflows[key]?.written = chunk.offset + chunk.frame.count
        send(chunk.route, .stored(.init(tag: chunk.tag)), nil)
        writeNext(key)
      }
    }
    if isQuiet(key.job) {
      writes[key.job] = nil
      didBecomeQuiet(key.job)
    }
  }

  private func noLongerWaits(_ bytes: Int, _ session: SessionID) {
    let left = unwritten[session, default: bytes] - bytes
    unwritten[session] = left > 0 ? left : nil
  }

  func isQuiet(_ job: JobID) -> Bool { writes[job, default: 0] == 0 }

  /// The digest of what was received of a lease, once it is complete.
  func digest(of key: Attempt) -> Digest128? {
    guard let inflow = inflows[key], inflow.writing == nil, inflow.waiting.isEmpty else { return nil }
    return inflow.stream.digest
  }

  func end(_ key: Attempt) {
    guard let inflow = inflows[key] else { return }
    inflow.stream.end()
    if let chunk = inflow.writing { refuse(chunk.tag, chunk.route, "the lease is over") }
    refuseWaiting(key, "the lease is over")
    inflows[key] = nil
  }

  /// Every chunk is answered, or its sender would wait for the credit.
  private func refuseWaiting(_ key: Attempt, _ reason: String) {
    for chunk in inflows[key]?.waiting ?? [] {
      noLongerWaits(chunk.frame.count, chunk.session)
      refuse(chunk.tag, chunk.route, reason)
    }
    inflows[key]?.waiting = []
  }
}

extension Problem.Code {
  static let dataRefused = Self("data-refused")
}
