import Diagnostics
import Planning
import Scheduling
import Wire
import ZeroMQ

/// A worker's side of the data socket: asks for slices, sends output, both under credit. Belongs to the loop's thread.
final class DataLink {
  /// Where the bytes of a fetch go.
  private enum Target {
    case chunk(Intake, number: Int)
    case description(JobID)
  }

  private struct Request {
    let target: Target
    let fetch: DataMessage.Fetch
    var sentAt = Instant.distantPast
  }

  /// A shard's streamed inputs on their way.
  private final class Intake {
    let task: WorkerTask
    let inputs: StreamedInputs
    /// Chunks that were asked for, and that came.
    var asked = 0
    var arrived = 0
    var isForgotten = false

    init(_ task: WorkerTask, _ inputs: StreamedInputs) {
      self.task = task
      self.inputs = inputs
    }

    /// Chunks that may be asked for by now.
    var limit: Int { min(inputs.wantedCount + DataLink.readAhead, inputs.chunks.count) }
    /// Whether the slot waits for a chunk that was not asked for.
    var isUrgent: Bool { asked < inputs.wantedCount }
  }

  /// A shard's output on its way.
  private final class Delivery {
    let task: WorkerTask
    let output: StreamedOutput
    /// What is not stored, in order.
    var chunks: [StreamedOutput.Chunk] = []
    /// How many of these were sent.
    var sent = 0
    /// Bytes that are stored.
    var stored = 0
    /// When something was sent or stored last.
    var movedAt = Instant.distantPast

    init(_ task: WorkerTask, _ output: StreamedOutput) {
      self.task = task
      self.output = output
    }
  }

  private let socket: Socket
  private let session: SessionID
  private let window: Int
  private var nextTag = 1
  /// Requests that go before all others: for descriptions, and for what was lost.
  private var waiting: [Request] = []
  /// Tasks that have chunks to ask for or to come, in the order of their grants.
  private var intakes: [Intake] = []
  private var fetching: [Int: Request] = [:]
  private var deliveries: [Delivery] = []
  private var storing: [Int: (delivery: Delivery, range: Range<Int>, sentAt: Instant)] = [:]
  private var unanswered = 0
  private var now: Instant
  /// Times that something was said again since the last answer of any kind.
  private var vain = 0

  /// Chunks asked for at a time; of one shard, as many more than its slot has come to.
  private static let fetchLimit = 6
  private static let readAhead = 4
  /// Milliseconds until what is not answered is said again: a lost connection loses messages.
  private static let patience = 15_000
  private static let vainLimit = 3

  /// What has come of the messages of one wake-up.
  enum Outcome {
    /// Enough has come to begin with.
    case staged(WorkerTask)
    case described(JobID, Frame, offset: Int)
    /// All of the output is stored.
    case delivered(WorkerTask)
    case failed(WorkerTask, WorkerMessage.Failed.Cause, WorkerMessage.Failed.Input?, Problem)
    case descriptionRefused(JobID, Problem)
  }

  init(_ socket: Socket, session: SessionID, window: Int, at now: Instant) {
    self.socket = socket
    self.session = session
    self.window = window
    self.now = now
  }

  // MARK: what is asked for

  func fetchDescription(of job: JobID, bytes: Int) {
    for start in stride(from: 0, to: bytes, by: StreamedInputs.chunkSize) {
      let count = min(StreamedInputs.chunkSize, bytes - start)
      let fetch = DataMessage.Fetch(
        session: session, tag: tag(), job: job, source: .description, file: 0, offset: start, count: count)
      waiting.append(.init(target: .description(job), fetch: fetch))
    }
    pump()
  }

  /// Begins to fetch the inputs of a shard.
  func stage(_ task: WorkerTask, _ inputs: StreamedInputs) {
    intakes.append(Intake(task, inputs))
    pump()
  }

  /// More of a shard's output is there.
  func deliver(_ task: WorkerTask, _ output: StreamedOutput, _ chunk: StreamedOutput.Chunk) {
    let delivery: Delivery
    if let known = deliveries.first(where: { $0.task === task }) {
      delivery = known
    } else {
      delivery = Delivery(task, output)
      deliveries.append(delivery)
    }
    delivery.chunks.append(chunk)
    pump()
  }

  /// Drops all that a task waits for.
  func forget(_ task: WorkerTask) {
    deliveries.removeAll { $0.task === task }
    // What is under way is answered, and the answer ignored.
    for intake in intakes where intake.task === task { intake.isForgotten = true }
    intakes.removeAll { $0.isForgotten }
    waiting.removeAll { request in
      if case .chunk(let intake, _) = request.target { return intake.isForgotten }
      return false
    }
  }

  private func tag() -> Int {
    nextTag += 1
    return nextTag
  }

  // MARK: sending

  /// Sends what credit allows.
  func pump() {
    while fetching.count < Self.fetchLimit, var request = waiting.first {
      guard send(.fetch(request.fetch), []) else { return }
      waiting.removeFirst()
      request.sentAt = now
      fetching[request.fetch.tag] = request
    }
    // What a slot waits for comes first, or one shard could keep another from going on.
    while fetching.count < Self.fetchLimit,
      let intake = intakes.first(where: \.isUrgent) ?? intakes.first(where: { $0.asked < $0.limit })
    {
      let chunk = intake.inputs.chunks[intake.asked]
      let piece = intake.inputs.pieces[chunk.piece]
      let fetch = DataMessage.Fetch(
        session: session, tag: tag(), job: intake.task.key.job, source: piece.side == .aligned ? .aligned : .sft,
        file: piece.file, offset: chunk.range.lowerBound, count: chunk.range.count)
      guard send(.fetch(fetch), []) else { return }
      fetching[fetch.tag] = Request(target: .chunk(intake, number: intake.asked), fetch: fetch, sentAt: now)
      intake.asked += 1
    }
    for delivery in deliveries {
      while delivery.sent < delivery.chunks.count {
        let chunk = delivery.chunks[delivery.sent]
        guard unanswered + chunk.range.count <= max(window, chunk.range.count) else { return }
        let tag = tag()
        let frame = Frame(borrowing: chunk.bytes) { withExtendedLifetime(chunk) {} }
        let store = DataMessage.Store(
          session: session, tag: tag, attempt: delivery.task.key, offset: chunk.range.lowerBound)
        guard send(.store(store), [frame]) else { return }
        delivery.sent += 1
        delivery.movedAt = now
        unanswered += chunk.range.count
        storing[tag] = (delivery, chunk.range, now)
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
    let stuck = deliveries.filter { $0.sent > 0 && isOverdue($0.movedAt) }
    for delivery in stuck {
      delivery.sent = 0
      for (tag, store) in storing where store.delivery === delivery {
        storing[tag] = nil
        unanswered -= store.range.count
      }
    }
    // Of a delivery that was forgotten nothing is said again, and an answer that was lost with a connection never comes.
    for (tag, store) in storing where isOverdue(store.sentAt) && !deliveries.contains(where: { $0 === store.delivery }) {
      storing[tag] = nil
      unanswered -= store.range.count
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
    for intake in intakes where !tasks.contains(where: { $0 === intake.task }) { tasks.append(intake.task) }
    for intake in intakes { intake.isForgotten = true }
    (waiting, intakes, fetching, deliveries, storing, unanswered, vain) = ([], [], [:], [], [:], 0, 0)
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
      unanswered -= stored.range.count
      return advanced(stored.delivery, to: stored.range.upperBound)
    case .refused(let refused): return self.refused(refused.tag, refused.problem.problem)
    case .fetch, .store: return nil
    }
  }

  private func received(_ frame: Frame, for request: Request) -> Outcome? {
    switch request.target {
    case .description(let job):
      return .described(job, frame, offset: request.fetch.offset)
    case .chunk(let intake, let number):
      guard !intake.isForgotten else { return nil }
      intake.inputs.put(frame, number: number)
      intake.task.add(frame.count)
      intake.arrived += 1
      if intake.arrived == intake.inputs.chunks.count { intakes.removeAll { $0 === intake } }
      return intake.arrived == min(Self.readAhead, intake.inputs.chunks.count) ? .staged(intake.task) : nil
    }
  }

  /// The chunks of a delivery are stored up to there.
  private func advanced(_ delivery: Delivery, to end: Int) -> Outcome? {
    guard end > delivery.stored else { return nil }
    delivery.task.add(end - delivery.stored)
    delivery.stored = end
    delivery.movedAt = now
    while let first = delivery.chunks.first, first.range.upperBound <= end {
      delivery.chunks.removeFirst()
      delivery.sent = max(0, delivery.sent - 1)
      delivery.output.didStore()
    }
    guard end == delivery.task.outputBytes, let index = deliveries.firstIndex(where: { $0 === delivery }) else {
      return nil
    }
    deliveries.remove(at: index)
    return .delivered(delivery.task)
  }

  private func refused(_ tag: Int, _ problem: Problem) -> Outcome? {
    if let request = fetching.removeValue(forKey: tag) {
      switch request.target {
      case .description(let job): return .descriptionRefused(job, problem)
      case .chunk(let intake, _):
        guard !intake.isForgotten else { return nil }
        let side: Side = request.fetch.source == .aligned ? .aligned : .sft
        forget(intake.task)
        return .failed(intake.task, .input, .init(side: side, file: request.fetch.file), problem)
      }
    }
    if let stored = storing.removeValue(forKey: tag) {
      unanswered -= stored.range.count
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
