import Diagnostics
import FileIO
import Logging
import Planning
import Scheduling
import SystemPackage
import Threads
import Wire
import ZeroMQ

/// What happens to a lease: its inputs are staged, a slot computes it, its output leaves.
extension WorkerService {
  func stage(_ id: WorkerSession.TaskID, _ key: Attempt) {
    guard let files = jobs[key.job], key.shard < files.plan.shardCount else {
      return tell(.failed(id, .other, input: nil, Problem(.planDiffers, "there is no such shard")))
    }
    let task = WorkerTask(id: id, key: key, files: files)
    tasks[id] = task
    let pieces = StagedShard.pieces(of: files.plan.segments(of: task.shard)) { side, file in
      (side == .aligned ? files.aligned : files.sft).opened[file] == nil
    }
    guard !pieces.isEmpty else { return tell(.staged(id)) }
    guard let data else { return fail(task, noData) }
    let staged = StagedShard(pieces: pieces)
    self.staged[id] = staged
    data.stage(task, staged)
  }

  private var outOfMemory: Problem {
    Problem(
      .outOfMemory, "there is no memory for the slices of a shard",
      remedy: "use fewer --slots, or a smaller --shard-size")
  }

  private func fail(_ task: WorkerTask, _ problem: Problem) {
    task.abandon()
    drop(task.id)
    tell(.failed(task.id, .other, input: nil, problem))
  }

  private func drop(_ id: WorkerSession.TaskID) {
    if let task = tasks.removeValue(forKey: id) { data?.forget(task) }
    staged[id] = nil
    results[id] = nil
    deliveredEarly.remove(id)
  }

  func abandon(_ id: WorkerSession.TaskID) {
    tasks[id]?.abandon()
    drop(id)
  }

  func compute(_ id: WorkerSession.TaskID) {
    guard let task = tasks[id] else { return }
    let inputs = staged.removeValue(forKey: id)
    var output: SliceMemory?
    if task.files.output == nil {
      guard let memory = memory.take(task.shard.range.count) else { return fail(task, outOfMemory) }
      output = memory
      data?.deliver(task, from: memory)
    }
    slots.submit { [self, output] in run(task, inputs, output) }
  }

  /// On a slot.
  private nonisolated func run(_ task: WorkerTask, _ inputs: StagedShard?, _ output: SliceMemory?) {
    let start = bootNanoseconds()
    let (fence, rateLimit) = (fence, rateLimit)
    let mayContinue = { !task.isAbandoned && !fence.isPassed(at: bootNanoseconds()) }
    let didFinishBlock = { (bytes: Int) in
      task.add(bytes)
      rateLimit?.wait(for: bytes, mayContinue: mayContinue)
    }
    let box = task.files.executors.take(task.files)
    defer { task.files.executors.giveBack(box) }
    do throws(Failure) {
      let result: ShardResult?
      if let output {
        let sink = StreamSink(output: output, start: task.shard.range.lowerBound) { [self] bytes in
          // A chunk at a time is told.
          guard bytes % (1 << 20) == 0 || bytes == task.shard.range.count else { return }
          loop.perform { self.assumeIsolated { $0.data?.outputGrew(task, to: bytes) } }
        }
        result = try box.executor.compute(
          task.shard, staged: inputs, into: sink, mayContinue: mayContinue, didFinishBlock: didFinishBlock)
      } else if let files = task.files.output {
        let file = files[task.shard.file]
        result = try box.executor.compute(
          task.shard, staged: inputs, into: FileSink(file), mayContinue: mayContinue, didFinishBlock: didFinishBlock)
        if result != nil {
          // The coordinator reads and syncs through another machine's cache: what is reported must have left this one.
          if task.files.outputIsRemote {
            try file.syncData()
          } else if configuration.startsWriteback {
            file.startWriteback(of: task.shard.range)
          }
        }
      } else {
        preconditionFailure("a streamed output has memory")
      }
      let milliseconds = Int((bootNanoseconds() - start) / 1_000_000)
      loop.perform { self.assumeIsolated { $0.computed(task, result, milliseconds) } }
    } catch {
      let problem = error.problems[0]
      loop.perform { self.assumeIsolated { $0.failed(task, problem) } }
    }
  }

  private func computed(_ task: WorkerTask, _ result: ShardResult?, _ milliseconds: Int) {
    guard let result, tasks[task.id] === task else {
      drop(task.id)
      return tell(.left(task.id))
    }
    if task.files.output == nil {
      tell(.computed(task.id))
      if deliveredEarly.contains(task.id) { return finish(task, result, milliseconds) }
      results[task.id] = (result, milliseconds)
    } else {
      finish(task, result, milliseconds)
    }
  }

  private func finish(_ task: WorkerTask, _ result: ShardResult, _ milliseconds: Int) {
    drop(task.id)
    let segments = result.segments.map {
      WorkerMessage.Finished.Segment(pair: $0.pair, sums: $0.sums, differingBytes: $0.differingBytes)
    }
    tell(.finished(task.id, digest: result.digest, milliseconds: milliseconds, segments: segments))
  }

  private func failed(_ task: WorkerTask, _ problem: Problem) {
    guard tasks[task.id] === task else { return tell(.left(task.id)) }
    drop(task.id)
    logger.error("\(task.key): \(problem)")
    let (cause, input) = blame(problem, task.files)
    tell(.failed(task.id, cause, input: input, problem))
  }

  /// Whose fault a failure is.
  private func blame(
    _ problem: Problem, _ files: JobFiles
  ) -> (WorkerMessage.Failed.Cause, WorkerMessage.Failed.Input?) {
    if problem.code == .noSpace { return (.space, nil) }
    guard let path = problem.file else { return (.other, nil) }
    if files.output?.contains(where: { $0.path.string == path }) == true { return (.output, nil) }
    for (side, inputs) in [(Side.aligned, files.aligned), (.sft, files.sft)] {
      if let file = inputs.opened.firstIndex(where: { $0?.path.string == path }) {
        return (.input, .init(side: side, file: file))
      }
    }
    return (.other, nil)
  }

  // MARK: data

  var noData: Problem {
    Problem(
      .dataUnreachable, "nothing comes from \(dataEndpoint.map { "\($0)" } ?? "the coordinator's data port")",
      remedy: "let workers reach that port, or start the coordinator with another --listen-data")
  }

  /// Says again what was not answered, and gives up where nothing is answered at all.
  func watchData() {
    guard let data, data.tick(at: Self.now) else { return }
    logger.warning("\(noData)")
    guard data.isHopeless else { return }
    for task in data.giveUp() { fail(task, noData) }
    for job in offers.keys.sorted() { refuse(job, session.session, noData) }
  }

  func receiveData() {
    var left = 32
    while left > 0, let (parts, wasCut) = try? dataSocket?.receive(partLimit: 2) {
      left -= 1
      guard !wasCut, let data, let outcome = data.receive(parts, at: Self.now) else { continue }
      switch outcome {
      case .staged(let task): tell(.staged(task.id))
      case .described(let job, let frame, let offset): described(job, frame, at: offset)
      case .delivered(let task):
        if let (result, milliseconds) = results[task.id] {
          finish(task, result, milliseconds)
        } else {
          deliveredEarly.insert(task.id)
        }
      case .failed(let task, let cause, let input, let problem):
        task.abandon()
        drop(task.id)
        tell(.failed(task.id, cause, input: input, problem))
      case .descriptionRefused(let job, let problem): refuse(job, session.session, problem)
      }
    }
  }
}

extension Problem.Code {
  static let dataUnreachable = Self("data-unreachable")
  static let outOfMemory = Self("out-of-memory")
}
