import Planning
import Scheduling
import Synchronization
import Wire

/// What a slot and the loop share about one lease.
final class WorkerTask: Sendable {
  let id: WorkerSession.TaskID
  let key: Attempt
  let work: WorkerSession.Work
  /// nil where a whole file is summed.
  let shard: Plan.Shard?
  let files: JobFiles
  /// nil where all input files are open.
  let inputs: StreamedInputs?
  /// nil where the output files are open, or nothing is written.
  let output: StreamedOutput?
  private let abandoned = Atomic(false)
  private let bytesDone = Atomic(0)

  /// - Parameter didWant: called by the slot when it has come to another chunk of the inputs.
  init(
    id: WorkerSession.TaskID, key: Attempt, work: WorkerSession.Work, files: JobFiles,
    didWant: @escaping @Sendable () -> Void
  ) {
    self.id = id
    self.key = key
    self.work = work
    self.files = files
    shard = work == .sum ? nil : files.plan.shard(key.shard)
    guard work == .compute, let shard else {
      (inputs, output) = (nil, nil)
      return
    }
    inputs = StreamedInputs(of: files.plan.segments(of: shard), didWant: didWant) { side, file in
      (side == .aligned ? files.aligned : files.sft).opened[file] == nil
    }
    output = files.output == nil && files.purpose == .merge ? StreamedOutput(variants: files.plan.variants.count) : nil
  }

  /// Bytes that its output has, streamed.
  var outputBytes: Int { shard.map(files.plan.outputBytes(of:)) ?? 0 }

  var isAbandoned: Bool { abandoned.load(ordering: .acquiring) }

  /// Lets the slot end, wherever it is.
  func abandon() {
    abandoned.store(true, ordering: .releasing)
    inputs?.cancel()
    output?.cancel()
  }

  /// Bytes fetched, computed and sent: a measure of progress.
  var progress: Int { bytesDone.load(ordering: .relaxed) }
  func add(_ bytes: Int) { bytesDone.wrappingAdd(bytes, ordering: .relaxed) }
}

/// The moment after which nothing may be written; moved by the loop, read by slots before each block.
final class Fence: Sendable {
  private let nanoseconds = Atomic<Int64>(.min)

  func move(to instant: Instant) { nanoseconds.store(instant.nanoseconds, ordering: .releasing) }
  func isPassed(at now: Int64) -> Bool { now >= nanoseconds.load(ordering: .acquiring) }
}

/// Executors of one job's files that wait for their next shard: each has buffers and readers that need not be made
/// anew. It belongs to the files and goes with them, so no executor outlives what it was made for.
final class ExecutorCache: Sendable {
  final class Box: @unchecked Sendable {
    // One slot at a time has it.
    var executor: ShardExecutor

    init(_ executor: consuming ShardExecutor) {
      self.executor = executor
    }
  }

  private let waiting = Mutex([Box]())

  func take(_ files: JobFiles) -> Box {
    waiting.withLock { $0.popLast() } ?? Box(ShardExecutor(plan: files.plan, aligned: files.aligned, sft: files.sft))
  }

  func giveBack(_ box: Box) {
    waiting.withLock { $0.append(box) }
  }
}
