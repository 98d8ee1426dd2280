import Checkpoint
public import Diagnostics
import Digests
import FileIO
import Kernels
import Logging
public import Planning
import Scheduling
public import SystemPackage
public import Wire
import Threads
import Worker
import ZeroMQ

/// A job's way from submission to publication.
extension CoordinatorService {
  /// Takes on a merge.
  ///
  /// - Parameter completion: called once, on some thread, when the job is over.
  @discardableResult
  public nonisolated func submit(
    _ plan: Plan, output: FilePath, options: MergeJob.Options,
    completion: @escaping @Sendable (Result<MergeJob.Outcome, Failure>) -> Void
  ) -> JobID {
    let id = newJobID()
    loop.perform {
      self.assumeIsolated { service in
        service.jobs[id] = ServedJob(
          id: id, aligned: plan.aligned.folder.string, sft: plan.sft.folder.string, output: output.string,
          alpha: plan.recipe.alpha, priority: 0, context: service.configuration.context, startedAt: Self.now,
          completion: completion)
        service.prepare(id) { () throws(Failure) in (plan, []) } output: { output } options: { options }
      }
    }
    return id
  }

  /// Takes on what a client submits. Its paths are looked at now, so that what is wrong is told at once.
  func submit(_ submission: ClientRequest.Submission, then reply: @escaping @Sendable (Result<JobID, Failure>) -> Void) {
    guard !isEnding else {
      return reply(
        .failure(
          Failure(
            .unavailable,
            Problem(.init("coordinator-ending"), "the coordinator is about to end", remedy: "submit again when it is back"))))
    }
    let id = newJobID()
    var options = MergeJob.Options()
    options.sync = submission.syncsFully ? .full : .none
    options.sha256 = submission.sha256
    options.permissions = .init(overwrite: submission.overwrite, restart: submission.restart)
    options.command = submission.command
    let context = RunContext(
      threads: configuration.context.threads, readMethod: configuration.context.readMethod)
    let finalOptions = options
    jobs[id] = ServedJob(
      id: id, aligned: submission.aligned, sft: submission.sft, output: submission.output,
      alpha: submission.recipe.alpha, priority: submission.priority, context: context, startedAt: Self.now
    ) { _ in }
    prepare(id) { () throws(Failure) in
      for path in [submission.aligned, submission.sft, submission.output] where !FilePath(path).isAbsolute {
        throw Failure(.usage, Problem(.pathNotAbsolute, "is not an absolute path", file: path))
      }
      let plan = try Plan(
        aligned: Checkpoint.open(FilePath(submission.aligned)), sft: Checkpoint.open(FilePath(submission.sft)),
        recipe: submission.recipe)
      let look = try QuickLook.estimate(plan, context)
      return (plan, plan.aligned.warnings + plan.sft.warnings + DeltaJudgement.warnings(about: look, isSample: true))
    } output: {
      FilePath(submission.output)
    } options: {
      finalOptions
    } then: {
      reply($0.map { id })
    }
  }

  /// - Parameter plan: run on a thread that may block; with warnings.
  private func prepare(
    _ id: JobID, plan: @escaping @Sendable () throws(Failure) -> (Plan, [Problem]),
    output: @escaping @Sendable () -> FilePath, options: @escaping @Sendable () -> MergeJob.Options,
    then reply: @escaping @Sendable (Result<Void, Failure>) -> Void = { _ in }
  ) {
    guard let context = jobs[id]?.context else { return }
    let calls = configuration.calls
    jobThreads.submit { [self] in
      let result: Result<(PreparedMerge, [Problem]), Failure>
      do throws(Failure) {
        let (plan, warnings) = try plan()
        let merge = try PreparedMerge(
          plan, job: id, output: output(), options: options(), context: context, calls: calls)
        result = .success((merge, warnings))
      } catch {
        result = .failure(error)
      }
      loop.perform { self.assumeIsolated { $0.prepared(id, result) } }
      reply(result.map { _ in })
    }
  }

  private func prepared(_ id: JobID, _ result: Result<(PreparedMerge, [Problem]), Failure>) {
    switch result {
    case .failure(let failure):
      // A job that never began is told to who submitted it, and forgotten.
      conclude(id, .failed, .failure(failure))
      jobs[id] = nil
    case .success((let merge, let warnings)):
      jobs[id]?.warnings = warnings
      guard jobs[id]?.isCancelled == false else {
        jobThreads.submit { [self] in
          merge.discard()
          loop.perform { self.assumeIsolated { $0.conclude(id, .cancelled, .failure(Self.cancelled)) } }
        }
        return
      }
      let plan = merge.plan
      jobs[id]?.merge = merge
      jobs[id]?.state = .running
      jobs[id]?.runningSince = Self.now
      jobs[id]?.bytes = plan.outputBytes
      jobs[id]?.files = plan.files.map { .init(name: $0.name, bytes: $0.size, shards: $0.shardCount, done: 0) }
      jobs[id]?.context.progress.begin(.merging, total: plan.outputBytes)
      logger.info(
        "job \(id): \(plan.shardCount) shards in \(plan.files.count) files, \(plan.outputBytes) bytes, to \(jobs[id]?.output ?? "")")
      tell(.add(.init(offer: merge.offer, priority: jobs[id]?.priority ?? 0, stretches: merge.stretches)))
    }
  }

  private static var cancelled: Failure { Failure(.interrupted, Problem(.interrupted, "stopped")) }

  /// Ends a job that is not over; from any thread.
  public nonisolated func cancel(_ id: JobID) {
    loop.perform { self.assumeIsolated { _ = $0.cancelJob(id) } }
  }

  /// - Returns: whether there was something to cancel.
  func cancelJob(_ id: JobID) -> Bool {
    guard let job = jobs[id], !job.state.isOver else { return false }
    jobs[id]?.isCancelled = true
    job.context.cancellation.cancel()
    if job.state == .running { tell(.cancel(id)) }
    return true
  }

  // MARK: results

  /// Checks a result against the plan and against what was received, and keeps it.
  func commit(_ finished: WorkerMessage.Finished, from session: SessionID, keeps: Bool) {
    let key = finished.key
    guard let merge = jobs[key.job]?.merge else { return tell(.refused(key, Problem(.dataRefused, "the job is over"))) }
    let plan = merge.plan
    let shard = plan.shard(key.shard)
    guard finished.fits(plan.segments(of: shard), of: plan) else {
      return tell(.refused(key, Problem(.resultInvalid, "the result is not that of the shard's segments")))
    }
    if scheduler.output(of: session, for: key.job) == .streamed {
      let received = dataServer.assumeIsolated { $0.digest(of: key) }
      guard received == finished.digest else {
        return tell(
          .refused(
            key,
            Problem(
              .shardDiffers,
              received == nil ? "the result came before all of the bytes" : "the bytes that were received are not those that were digested",
              file: merge.files[shard.file].path.string, byte: shard.range.lowerBound)))
      }
    }
    if keeps {
      let segments = finished.segments.map {
        ShardResult.SegmentResult(pair: $0.pair, sums: $0.sums, differingBytes: $0.differingBytes)
      }
      merge.results.set(ShardResult(shard: key.shard, digest: finished.digest, segments: segments), at: key.shard)
      workers[session]?.meter.add(shard.range.count, at: Self.now)
      didFinish(key.job, shard)
    }
    tell(.committed(key))
  }

  /// One more shard is in the output.
  private func didFinish(_ id: JobID, _ shard: Plan.Shard) {
    jobs[id]?.meter.add(shard.range.count, at: Self.now)
    jobs[id]?.files[shard.file].done += 1
    jobs[id]?.context.progress.add(shard.range.count)
    if let name = jobs[id]?.files[shard.file].name { jobs[id]?.context.progress.workingOn(name) }
  }

  /// A shard of an earlier life was read back.
  func checked(_ id: JobID, _ number: Int, _ matches: Bool) {
    guard let merge = jobs[id]?.merge else { return }
    if matches { didFinish(id, merge.plan.shard(number)) }
  }

  /// Reads a shard back that two workers may have written to.
  func readBack(_ id: JobID, _ number: Int, _ expected: Digest128) {
    guard let merge = jobs[id]?.merge else { return }
    let shard = merge.plan.shard(number)
    logger.debug("job \(id) shard \(number) is read back")
    jobThreads.submit { [self] in
      let digest = (try? merge.files[shard.file].digest(of: shard.range)) ?? nil
      loop.perform { self.assumeIsolated { $0.didReadBack(id, shard, matches: digest == expected) } }
    }
  }

  private func didReadBack(_ id: JobID, _ shard: Plan.Shard, matches: Bool) {
    if !matches {
      jobs[id]?.files[shard.file].done -= 1
      jobs[id]?.context.progress.add(-shard.range.count)
    }
    tell(.verified(id, shard: shard.number, matches: matches))
  }

  // MARK: the end

  func finish(_ id: JobID) {
    guard let job = jobs[id], let merge = job.merge else { return }
    guard dataServer.assumeIsolated({ $0.isQuiet(id) }) else {
      jobs[id]?.waitsForQuiet = true
      return
    }
    jobs[id]?.waitsForQuiet = false
    guard !job.isCancelled else { return conclude(id, .cancelled, .failure(Self.cancelled)) }
    jobs[id]?.state = .finishing
    let context = job.context
    jobThreads.submit { [self] in
      let result: Result<MergeJob.Outcome, Failure>
      do throws(Failure) { result = .success(try merge.finish(context)) } catch { result = .failure(error) }
      loop.perform { self.assumeIsolated { $0.finished(id, result) } }
    }
  }

  func didBecomeQuiet(_ id: JobID) {
    if jobs[id]?.waitsForQuiet == true { finish(id) }
  }

  private func finished(_ id: JobID, _ result: Result<MergeJob.Outcome, Failure>) {
    switch result {
    case .success(let outcome):
      jobs[id]?.warnings += outcome.warnings
      conclude(id, .complete, result)
    case .failure(let failure):
      conclude(id, failure.category == .interrupted ? .cancelled : .failed, result)
    }
  }

  func failing(_ id: JobID, _ problem: Problem) {
    let category: Failure.Category =
      switch problem.code {
      case .digestsDiffer: .badData
      case .illegalTransition: .internalError
      default: .inputOutput
      }
    jobs[id]?.failure = Failure(category, problem)
  }

  func stopped(_ id: JobID) {
    if let failure = jobs[id]?.failure {
      conclude(id, .failed, .failure(failure))
    } else {
      conclude(id, .cancelled, .failure(Self.cancelled))
    }
  }

  private func conclude(_ id: JobID, _ state: Status.JobState, _ result: Result<MergeJob.Outcome, Failure>) {
    guard let job = jobs[id], !job.state.isOver else { return }
    jobs[id]?.state = state
    jobs[id]?.endedAt = Self.now
    if case .failure(let failure) = result {
      jobs[id]?.failure = failure
      if state == .failed {
        logger.error("job \(id) failed: \(failure)")
      } else {
        logger.info("job \(id) was cancelled")
      }
    } else {
      logger.info("job \(id) is complete: \(job.output)")
    }
    // Files and results are let go of, and the lock on the output. Closing can take long on a network filesystem.
    jobs[id]?.merge = nil
    jobs[id]?.meter.forget()
    let merge = job.merge
    jobThreads.submit {
      withExtendedLifetime(merge) {}
      job.completion(result)
    }
    let over = jobs.values.filter(\.state.isOver).sorted { $0.id < $1.id }
    for old in over.dropLast(configuration.memory) { jobs[old.id] = nil }
  }
}

extension Problem.Code {
  static let pathNotAbsolute = Self("path-not-absolute")
  static let resultInvalid = Self("result-invalid")
}

extension WorkerMessage.Finished {
  /// Whether the statistics can be those of a shard's segments: sums of them must not overflow.
  fileprivate func fits(_ expected: [Planning.Segment], of plan: Plan) -> Bool {
    guard segments.map(\.pair) == expected.map(\.pair) else { return false }
    return zip(segments, expected).allSatisfy { segment, place in
      let bytes = UInt64(place.output.count)
      let sums = segment.sums
      return segment.differingBytes <= bytes
        && [
          sums.elements, sums.unchanged, sums.nonFiniteInputs, sums.nonFiniteOutputs, sums.overflows,
        ].allSatisfy { $0 <= bytes }
    }
  }
}

extension Plan {
  /// Consecutive shards of one file that read the same input files.
  func stretches() -> [Scheduler.JobSpecification.Stretch] {
    var stretches: [Scheduler.JobSpecification.Stretch] = []
    for number in 0..<shardCount {
      let shard = shard(number)
      var inputs: Set<WorkerMessage.Failed.Input> = []
      for segment in segments(of: shard) {
        inputs.insert(.init(side: .aligned, file: segment.aligned.file))
        if let sft = segment.sft { inputs.insert(.init(side: .sft, file: sft.file)) }
      }
      if let last = stretches.last, last.shards.lowerBound >= files[shard.file].firstShard,
        Set(last.inputs) == inputs
      {
        stretches[stretches.count - 1] = .init(shards: last.shards.lowerBound..<number + 1, inputs: last.inputs)
      } else {
        let sorted = inputs.sorted { ($0.side.rawValue, $0.file) < ($1.side.rawValue, $1.file) }
        stretches.append(.init(shards: number..<number + 1, inputs: sorted))
      }
    }
    return stretches
  }
}
