import Diagnostics
import Digests
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
  func stage(_ id: WorkerSession.TaskID, _ key: Attempt, _ work: WorkerSession.Work) {
    let units = jobs[key.job].map { $0.plan.shardCount + (work == .sum ? $0.plan.outputs.count : 0) } ?? 0
    guard let files = jobs[key.job], key.shard < units, work != .sum || key.shard >= files.plan.shardCount else {
      return tell(.failed(id, .other, input: nil, Problem(.planDiffers, "there is no such shard")))
    }
    let task = WorkerTask(id: id, key: key, work: work, files: files) { [self] in
      loop.perform { self.assumeIsolated { $0.data?.pump() } }
    }
    tasks[id] = Running(task: task)
    guard let inputs = task.inputs else { return tell(.staged(id)) }
    guard let data else { return fail(task, noData) }
    data.stage(task, inputs)
  }

  private func fail(_ task: WorkerTask, _ problem: Problem) {
    task.abandon()
    drop(task.id)
    tell(.failed(task.id, .other, input: nil, problem))
  }

  private func drop(_ id: WorkerSession.TaskID) {
    if let running = tasks.removeValue(forKey: id) { data?.forget(running.task) }
  }

  func abandon(_ id: WorkerSession.TaskID) {
    tasks[id]?.task.abandon()
    drop(id)
  }

  func compute(_ id: WorkerSession.TaskID) {
    guard let task = tasks[id]?.task else { return }
    slots.submit { [self] in run(task) }
  }

  /// On a slot.
  private nonisolated func run(_ task: WorkerTask) {
    let start = bootNanoseconds()
    let (fence, rateLimit) = (fence, rateLimit)
    let mayContinue = { !task.isAbandoned && !fence.isPassed(at: bootNanoseconds()) }
    func finish(_ result: ShardResult?) {
      let milliseconds = Int((bootNanoseconds() - start) / 1_000_000)
      loop.perform { self.assumeIsolated { $0.computed(task, result, milliseconds) } }
    }
    func fail(_ failure: Failure) {
      let problem = failure.problems[0]
      loop.perform { self.assumeIsolated { $0.failed(task, problem) } }
    }
    if task.work == .check {
      do throws(Failure) {
        return finish(try check(task, mayContinue).map { ShardResult(shard: task.key.shard, digests: [$0], segments: []) })
      } catch {
        return fail(error)
      }
    }
    if task.work == .sum {
      do throws(Failure) {
        let sum = try sum(task, mayContinue)
        let milliseconds = Int((bootNanoseconds() - start) / 1_000_000)
        return loop.perform { self.assumeIsolated { $0.summed(task, sum, milliseconds) } }
      } catch {
        return fail(error)
      }
    }
    let didFinishBlock = { (bytes: Int) in
      task.add(bytes)
      rateLimit.wait(for: bytes, mayContinue: mayContinue)
    }
    let box = task.files.executors.take(task.files)
    defer { task.files.executors.giveBack(box) }
    guard let shard = task.shard else { preconditionFailure("only a sum has none") }
    let plan = task.files.plan
    do throws(Failure) {
      let result: ShardResult?
      if let output = task.output {
        let sink = StreamSink(
          output, shard: shard.range, variants: plan.variants.count, blockSize: box.executor.blockSize, pool: memory
        ) { [self] chunk in
          loop.perform { self.assumeIsolated { $0.send(chunk, of: task, output) } }
        }
        result = try box.executor.compute(
          shard, streamed: task.inputs, into: sink, mayContinue: mayContinue, didFinishBlock: didFinishBlock)
      } else if task.files.purpose == .verify {
        result = try box.executor.compute(
          shard, streamed: task.inputs, into: NoSink(), mayContinue: mayContinue, didFinishBlock: didFinishBlock)
      } else if let all = task.files.output {
        let files = plan.outputs(of: shard.file).map { all[$0] }
        result = try box.executor.compute(
          shard, streamed: task.inputs, into: FileSink(files), mayContinue: mayContinue, didFinishBlock: didFinishBlock)
        for file in files where result != nil {
          // The coordinator reads and syncs through another machine's cache: what is reported must have left this one.
          if task.files.outputIsRemote {
            try file.syncData()
          } else if configuration.startsWriteback {
            file.startWriteback(of: shard.range)
          }
        }
      } else {
        preconditionFailure("the output is streamed or open")
      }
      finish(result)
    } catch {
      fail(error)
    }
  }

  /// Reads back what the output holds of a shard.
  private nonisolated func check(_ task: WorkerTask, _ mayContinue: () -> Bool) throws(Failure) -> Digest128? {
    guard let files = task.files.output, let shard = task.shard else {
      throw Failure(.internalError, Problem(.planDiffers, "the output cannot be read from here"))
    }
    return try task.files.plan.digest(of: shard, in: files, mayContinue: mayContinue, didRead: task.add)
  }

  /// Reads an output file for its SHA-256.
  private nonisolated func sum(_ task: WorkerTask, _ mayContinue: () -> Bool) throws(Failure) -> String? {
    guard let files = task.files.output else {
      throw Failure(.internalError, Problem(.planDiffers, "the output cannot be read from here"))
    }
    // They are numbered behind the shards.
    let file = task.key.shard - task.files.plan.shardCount
    return try files[file].sha256(of: 0..<task.files.plan.outputs[file].size, mayContinue: mayContinue, didRead: task.add)
  }

  private func summed(_ task: WorkerTask, _ sum: String?, _ milliseconds: Int) {
    guard let sum, tasks.removeValue(forKey: task.id) != nil else {
      drop(task.id)
      return tell(.left(task.id))
    }
    tell(.finished(task.id, digests: [Digest128(high: 0, low: 0)], milliseconds: milliseconds, segments: [], sha256: sum))
  }

  private func send(_ chunk: StreamedOutput.Chunk, of task: WorkerTask, _ output: StreamedOutput) {
    guard tasks[task.id] != nil else { return }
    data?.deliver(task, output, chunk)
  }

  private func computed(_ task: WorkerTask, _ result: ShardResult?, _ milliseconds: Int) {
    guard let result, let running = tasks[task.id] else {
      drop(task.id)
      return tell(.left(task.id))
    }
    guard task.output != nil else { return finish(task, result, milliseconds) }
    tell(.computed(task.id))
    if running.isDelivered { return finish(task, result, milliseconds) }
    tasks[task.id]?.result = (result, milliseconds)
  }

  private func finish(_ task: WorkerTask, _ result: ShardResult, _ milliseconds: Int) {
    drop(task.id)
    if task.work == .compute {
      shardsDone += 1
      bytesDone += task.outputBytes
    }
    let segments = result.segments.map {
      WorkerMessage.Finished.Segment(pair: $0.pair, sums: $0.sums, others: $0.others, differingBytes: $0.differingBytes)
    }
    tell(.finished(task.id, digests: result.digests, milliseconds: milliseconds, segments: segments))
  }

  private func failed(_ task: WorkerTask, _ problem: Problem) {
    guard tasks.removeValue(forKey: task.id) != nil, !task.isAbandoned else { return tell(.left(task.id)) }
    data?.forget(task)
    logger.error("\(task.key): \(problem)")
    shardsFailed += 1
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
      remedy: "let workers reach that port, or start the coordinator with another --listen-data; it is tried again every half a minute")
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
        if let (result, milliseconds) = tasks[task.id]?.result {
          finish(task, result, milliseconds)
        } else {
          tasks[task.id]?.isDelivered = true
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
