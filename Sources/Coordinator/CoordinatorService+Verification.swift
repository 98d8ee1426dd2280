import Checkpoint
import Diagnostics
import Digests
import Logging
import Planning
import Scheduling
import SystemPackage
import Threads
import Wire
import Worker
import ZeroMQ

/// A job that proves a merge: its shards are read back, and computed again, by whoever has room.
extension CoordinatorService {
  func verify(_ request: ClientRequest.Verify, then reply: @escaping @Sendable (Result<JobID, Failure>) -> Void) {
    guard !isEnding else {
      return reply(.failure(Self.ending("it takes on nothing more", remedy: "ask again when it is back")))
    }
    if let failure = tooBusy() { return reply(.failure(failure)) }
    let id = newJobID()
    let context = RunContext(threads: configuration.context.threads, readMethod: configuration.context.readMethod)
    jobs[id] = ServedJob(
      id: id, aligned: request.aligned ?? "", sft: request.sft ?? "", output: request.folder, alphas: [],
      priority: request.priority, isVerification: true, context: context, startedAt: Self.now
    ) { _ in }
    replies[id] = reply
    let calls = configuration.calls
    jobThreads.submit { [self] in
      let result: Result<PreparedVerification, Failure>
      do throws(Failure) {
        try Self.check([request.folder], calls)
        result = .success(try PreparedVerification(request, job: id, context: context, calls: calls))
      } catch {
        result = .failure(error)
      }
      loop.perform { self.assumeIsolated { $0.prepared(id, result) } }
    }
  }

  private func prepared(_ id: JobID, _ result: Result<PreparedVerification, Failure>) {
    reply(id, result.map { _ in id })
    guard case .success(let verification) = result, let job = jobs[id] else {
      jobs[id] = nil
      return
    }
    guard !job.isCancelled else { return conclude(id, .cancelled, Self.cancelled) }
    let plan = verification.source.plan
    jobs[id]?.verification = verification
    jobs[id]?.aligned = plan.aligned.folder.string
    jobs[id]?.sft = plan.sft.folder.string
    jobs[id]?.alphas = plan.recipe.alphas
    jobs[id]?.bytes = verification.bytes
    jobs[id]?.state = .running
    jobs[id]?.runningSince = Self.now
    jobs[id]?.files = plan.files.map { .init(name: $0.name, bytes: $0.size, shards: $0.shardCount, done: 0) }
    job.context.progress.begin(.verifying, total: verification.bytes)
    logger.info(
      "job \(id): \(plan.shardCount) shards of \(job.output) are read back, \(verification.proved.count) are computed again")
    let unchecked = Dictionary(uniqueKeysWithValues: verification.expected.enumerated().map { ($0.offset, $0.element) })
    tell(
      .add(
        .init(
          offer: verification.offer, priority: job.priority, stretches: verification.source.stretches, unchecked: unchecked,
          proved: verification.proved)))
  }

  /// A shard was computed again.
  func prove(_ finished: WorkerMessage.Finished, of verification: PreparedVerification, from session: SessionID) {
    let shard = verification.source.plan.shard(finished.shard)
    verification.compare(finished.shard, finished.digest)
    workers[session]?.meter.add(shard.range.count, at: Self.now)
    didRead(shard, of: finished.job, isLast: true)
    tell(.committed(finished.key))
  }

  /// A shard was read back.
  func checked(_ id: JobID, _ number: Int, _ matches: Bool, of verification: PreparedVerification) {
    if !matches { verification.addDifference(number) }
    didRead(verification.source.plan.shard(number), of: id, isLast: !verification.proved.contains(number))
  }

  private func didRead(_ shard: Plan.Shard, of id: JobID, isLast: Bool) {
    jobs[id]?.meter.add(shard.range.count, at: Self.now)
    jobs[id]?.context.progress.add(shard.range.count)
    if isLast { jobs[id]?.files[shard.file].done += 1 }
  }

  func finish(_ id: JobID, _ verification: PreparedVerification) {
    let problems = verification.problems
    if problems.isEmpty { conclude(id, .complete) } else { conclude(id, .failed, Failure(.badData, problems)) }
  }
}
