import Diagnostics
import Planning
import Scheduling
import Wire
import ZeroMQ

/// A worker's side of the data socket: asks for slices, sends output, both under credit. Belongs to the loop's thread.
final class DataLink {
  /// Where the bytes of a fetch go.
  enum Target {
    case staged(WorkerTask, StagedShard, piece: Int, index: Int)
    case description(JobID)
  }

  private struct Request {
    let target: Target
    let fetch: DataMessage.Fetch
    var sentAt = Instant.distantPast
  }

  /// A shard's output on its way.
  private final class Delivery {
    let task: WorkerTask
    let memory: SliceMemory
    let total: Int
    var available = 0
    var sent = 0
    var stored = 0
    /// When something was sent or stored last.
    var movedAt = Instant.distantPast

    init(task: WorkerTask, memory: SliceMemory, total: Int) {
      self.task = task
      self.memory = memory
      self.total = total
    }
  }

  private let socket: Socket
  private let session: SessionID
  private let window: Int
  private var nextTag = 1
  private var waiting: [Request] = []
  private var fetching: [Int: Request] = [:]
  private var deliveries: [Delivery] = []
  private var storing: [Int: (delivery: Delivery, end: Int, count: Int)] = [:]
  private var unanswered = 0
  private var now: Instant
  /// Times that something was said again since the last answer of any kind.
  private var vain = 0

  /// Chunks asked for at a time, and the bytes of one.
  private static let fetchLimit = 8
  private static let chunk = StagedShard.chunkSize
  /// Milliseconds until what is not answered is said again: a lost connection loses messages.
  private static let patience = 15_000
  private static let vainLimit = 3

  /// What has come of the messages of one wake-up.
  enum Outcome {
    case staged(WorkerTask)
    case described(JobID, Frame, offset: Int)
    /// All of the output is stored.
    case delivered(WorkerTask)
    case failed(WorkerTask, WorkerMessage.Failed.Cause, WorkerMessage.Failed.Input?, Problem)
    case descriptionRefused(JobID, Problem)
  }

  /// What a task still has to receive.
  private var missing: [WorkerSession.TaskID: Int] = [:]

  init(_ socket: Socket, session: SessionID, window: Int, at now: Instant) {
    self.socket = socket
    self.session = session
    self.window = window
    self.now = now
  }

  // MARK: what is asked for

  func fetchDescription(of job: JobID, bytes: Int) {
    for start in stride(from: 0, to: bytes, by: Self.chunk) {
      ask(
        .init(
          target: .description(job),
          fetch: .init(
            session: session, tag: tag(), job: job, source: .description, file: 0, offset: start,
            count: min(Self.chunk, bytes - start))))
    }
    pump()
  }

  /// Fetches all pieces of a shard, behind what was asked for before.
  func stage(_ task: WorkerTask, _ staged: StagedShard) {
    var count = 0
    for (number, piece) in staged.pieces.enumerated() {
      for (index, start) in stride(from: 0, to: piece.range.count, by: Self.chunk).enumerated() {
        let fetch = DataMessage.Fetch(
          session: session, tag: tag(), job: task.key.job, source: piece.side == .aligned ? .aligned : .sft,
          file: piece.file, offset: piece.range.lowerBound + start, count: min(Self.chunk, piece.range.count - start))
        ask(.init(target: .staged(task, staged, piece: number, index: index), fetch: fetch))
        count += 1
      }
    }
    missing[task.id] = count
    pump()
  }

  func deliver(_ task: WorkerTask, from memory: SliceMemory) {
    deliveries.append(Delivery(task: task, memory: memory, total: task.shard.range.count))
  }

  /// More of a shard's output is there.
  func outputGrew(_ task: WorkerTask, to bytes: Int) {
    guard let delivery = deliveries.first(where: { $0.task === task }) else { return }
    delivery.available = max(delivery.available, bytes)
    pump()
  }

  /// Drops all that a task waits for.
  func forget(_ task: WorkerTask) {
    missing[task.id] = nil
    deliveries.removeAll { $0.task === task }
    // What is under way is answered, and the answer ignored.
    waiting.removeAll { request in
      if case .staged(let other, _, _, _) = request.target { return other === task }
      return false
    }
  }

  private func tag() -> Int {
    nextTag += 1
    return nextTag
  }

  private func ask(_ request: Request) {
    waiting.append(request)
  }

  // MARK: sending

  /// Sends what credit allows.
  private func pump() {
    while fetching.count < Self.fetchLimit, var request = waiting.first {
      guard send(.fetch(request.fetch), []) else { return }
      waiting.removeFirst()
      request.sentAt = now
      fetching[request.fetch.tag] = request
    }
    for delivery in deliveries {
      while delivery.sent < delivery.available {
        let count = min(Self.chunk, delivery.available - delivery.sent)
        // Whole chunks, but for the last.
        guard count == Self.chunk || delivery.sent + count == delivery.total else { break }
        guard unanswered + count <= window else { return }
        let tag = tag()
        let memory = delivery.memory
        let bytes = UnsafeRawBufferPointer(rebasing: memory.bytes[delivery.sent..<delivery.sent + count])
        let frame = Frame(borrowing: bytes) { withExtendedLifetime(memory) {} }
        let store = DataMessage.Store(session: session, tag: tag, attempt: delivery.task.key, offset: delivery.sent)
        guard send(.store(store), [frame]) else { return }
        delivery.sent += count
        delivery.movedAt = now
        unanswered += count
        storing[tag] = (delivery, delivery.sent, count)
      }
    }
  }

  private func send(_ message: DataMessage, _ rest: [Frame]) -> Bool {
    (try? socket.send([Frame(message.encoded())] + rest)) == .sent
  }

  /// Says again what was lost with a connection.
  ///
  /// - Returns: whether anything was.
  func tick(at now: Instant) -> Bool {
    self.now = now
    func isOverdue(_ time: Instant) -> Bool { now.milliseconds(since: time) >= Self.patience }
    let lost = fetching.values.filter { isOverdue($0.sentAt) }.sorted { $0.fetch.tag < $1.fetch.tag }
    for request in lost { fetching[request.fetch.tag] = nil }
    waiting = lost + waiting
    let stuck = deliveries.filter { $0.sent > $0.stored && isOverdue($0.movedAt) }
    for delivery in stuck {
      delivery.sent = delivery.stored
      for (tag, store) in storing where store.delivery === delivery {
        storing[tag] = nil
        unanswered -= store.count
      }
    }
    if !lost.isEmpty || !stuck.isEmpty { vain += 1 }
    pump()
    return !lost.isEmpty || !stuck.isEmpty
  }

  /// Whether nothing was answered however often it was said.
  var isHopeless: Bool { vain >= Self.vainLimit }

  /// Drops everything.
  ///
  /// - Returns: the tasks that waited for it.
  func giveUp() -> [WorkerTask] {
    var tasks: [WorkerTask] = deliveries.map(\.task)
    for request in waiting + fetching.values {
      if case .staged(let task, _, _, _) = request.target, !tasks.contains(where: { $0 === task }) { tasks.append(task) }
    }
    (waiting, fetching, deliveries, storing, missing, unanswered, vain) = ([], [:], [], [:], [:], 0, 0)
    return tasks
  }

  // MARK: receiving

  /// Takes in one message.
  ///
  /// - Returns: nil where it changes nothing for others.
  func receive(_ parts: [Frame], at now: Instant) -> Outcome? {
    guard let message = try? parts[0].withBytes({ try DataMessage.decode($0) }) else { return nil }
    self.now = now
    vain = 0
    defer { pump() }
    switch message {
    case .chunk(let answer):
      guard parts.count == 2, let request = fetching[answer.tag] else { return nil }
      guard parts[1].count == request.fetch.count else {
        return self.refused(
          answer.tag, Problem(.chunkSize, "a chunk of \(parts[1].count) bytes came where \(request.fetch.count) were asked for"))
      }
      fetching[answer.tag] = nil
      return received(parts[1], for: request)
    case .stored(let answer):
      guard let stored = storing.removeValue(forKey: answer.tag) else { return nil }
      unanswered -= stored.count
      stored.delivery.stored = max(stored.delivery.stored, stored.end)
      stored.delivery.movedAt = now
      stored.delivery.task.add(stored.count)
      guard stored.delivery.stored == stored.delivery.total,
        let index = deliveries.firstIndex(where: { $0 === stored.delivery })
      else { return nil }
      deliveries.remove(at: index)
      return .delivered(stored.delivery.task)
    case .refused(let refused): return self.refused(refused.tag, refused.problem.problem)
    case .fetch, .store: return nil
    }
  }

  private func received(_ frame: Frame, for request: Request) -> Outcome? {
    switch request.target {
    case .description(let job):
      return .described(job, frame, offset: request.fetch.offset)
    case .staged(let task, let staged, let piece, let index):
      guard let left = missing[task.id] else { return nil }
      staged.set(frame, piece: piece, index: index)
      task.add(frame.count)
      missing[task.id] = left > 1 ? left - 1 : nil
      return left == 1 ? .staged(task) : nil
    }
  }

  private func refused(_ tag: Int, _ problem: Problem) -> Outcome? {
    if let request = fetching.removeValue(forKey: tag) {
      switch request.target {
      case .description(let job): return .descriptionRefused(job, problem)
      case .staged(let task, _, _, _):
        guard missing[task.id] != nil else { return nil }
        let side: Side = request.fetch.source == .aligned ? .aligned : .sft
        forget(task)
        return .failed(task, .input, .init(side: side, file: request.fetch.file), problem)
      }
    }
    if let stored = storing.removeValue(forKey: tag) {
      unanswered -= stored.count
      guard deliveries.contains(where: { $0 === stored.delivery }) else { return nil }
      forget(stored.delivery.task)
      return .failed(stored.delivery.task, .output, nil, problem)
    }
    return nil
  }
}

extension Problem.Code {
  static let chunkSize = Self("chunk-size")
}
