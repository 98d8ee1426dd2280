import Checkpoint
import Deltas
public import Diagnostics
import Digests
import FileIO
import Journal
import Kernels
import Logging
public import Planning
import Scheduling
import Synchronization
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
    _ plan: Plan, output: FilePath, options: MergeJob.Options, hasCompany: Bool = true,
    completion: @escaping @Sendable (Result<MergeJob.Outcome, Failure>) -> Void
  ) -> JobID {
    let id = newJobID()
    loop.perform {
      self.assumeIsolated { service in
        service.jobs[id] = ServedJob(
          id: id, aligned: plan.aligned.folder.string, sft: plan.sft.folder.string, output: output.string,
          alphas: plan.recipe.alphas, priority: 0, context: service.configuration.context, startedAt: Self.now,
          completion: completion)
        service.prepare(id, output, options, hasCompany: hasCompany) { () throws(Failure) in (plan, []) }
      }
    }
    return id
  }

  /// Takes on what a client submits. Its paths are looked at now, so that what is wrong is told at once.
  func submit(_ submission: ClientRequest.Submission, then reply: @escaping @Sendable (Result<JobID, Failure>) -> Void) {
    guard !isEnding else {
      return reply(.failure(Self.ending("it takes on nothing more", remedy: "submit again when it is back")))
    }
    if let failure = tooBusy() { return reply(.failure(failure)) }
    // By name only: the lock in the folder tells the rest.
    if let other = jobs.values.first(where: { !$0.state.isOver && !$0.isVerification && $0.output == submission.output }) {
      let problem = Problem(
        .locked, "job \(other.id) writes there already", file: submission.output,
        remedy: "wait for it (expomerge wait \(other.id)), or name another folder")
      return reply(.failure(Failure(.cannotCreate, problem)))
    }
    let id = newJobID()
    var options = MergeJob.Options()
    options.sync = submission.syncsFully ? .full : .none
    options.sha256 = submission.sha256
    options.permissions = .init(overwrite: submission.overwrite, restart: submission.restart)
    options.command = submission.command
    let context = RunContext(
      threads: configuration.context.threads, readMethod: configuration.context.readMethod)
    jobs[id] = ServedJob(
      id: id, aligned: submission.aligned, sft: submission.sft, output: submission.output,
      alphas: submission.recipe.alphas, priority: submission.priority, context: context, startedAt: Self.now
    ) { _ in }
    let calls = configuration.calls
    prepare(id, FilePath(submission.output), options) { () throws(Failure) in
      let aligned = try Self.path(ofModel: submission.aligned, calls)
      let sft = try Self.path(ofModel: submission.sft, calls)
      try Self.check([submission.output], calls)
      let plan = try Plan(
        aligned: Checkpoint.open(aligned, calls: calls), sft: Checkpoint.open(sft, calls: calls), recipe: submission.recipe)
      let look = try QuickLook.estimate(plan, context, calls: calls)
      return (plan, plan.aligned.warnings + plan.sft.warnings + DeltaJudgement.warnings(about: look))
    } then: { reply($0) }
  }

  /// Why nothing more is taken on now: whoever asks without end shall not have it all kept.
  func tooBusy() -> Failure? {
    guard replies.count >= configuration.preparingLimit else { return nil }
    ignored["too-many-jobs", default: 0] += 1
    return Failure(
      .unavailable,
      Problem(.tooManyJobs, "\(replies.count) jobs are being prepared, and no more are taken on meanwhile", remedy: "ask again later"))
  }

  /// Where a model of a client's lies.
  static func path(ofModel text: String, _ calls: SystemCalls) throws(Failure) -> FilePath {
    let path = try ModelReference(text).path(takesRelativePaths: false, calls: calls)
    try check([path.string], calls)
    return path
  }

  static func path(ofModel text: String?, _ calls: SystemCalls) throws(Failure) -> FilePath? {
    guard let text else { return nil }
    return try path(ofModel: text, calls) as FilePath
  }

  /// - Throws: where a path of a client is not absolute, or leads out of the folders that may be used.
  static func check(_ paths: [String], _ calls: SystemCalls) throws(Failure) {
    for path in paths {
      guard FilePath(path).isAbsolute else {
        throw Failure(.usage, Problem(.pathNotAbsolute, "is not an absolute path", file: path))
      }
      try calls.confinement?.check(FilePath(path))
    }
  }

  // MARK: preparing

  /// What has become of preparing a job.
  private enum Prepared: Sendable {
    case merge(PreparedMerge, [Problem])
    /// It had been published before its coordinator ended.
    case published
  }

  /// - Parameters:
  ///   - plan: run on a thread that may block; with warnings.
  ///   - reply: called once, on the loop.
  func prepare(
    _ id: JobID, _ output: FilePath, _ options: MergeJob.Options, resuming record: JobRecord? = nil,
    hasCompany: Bool = true, plan: @escaping @Sendable () throws(Failure) -> (Plan, [Problem]),
    then reply: (@Sendable (Result<JobID, Failure>) -> Void)? = nil
  ) {
    guard let job = jobs[id] else { return }
    replies[id] = reply
    let (context, priority) = (job.context, job.priority)
    let (calls, shared) = (configuration.calls, configuration.journal.map { ($0, configuration.epoch) })
    jobThreads.submit { [self] in
      let result: Result<Prepared, Failure>
      do throws(Failure) {
        if let record, let shared, try InterruptedPublication.finish(record, in: shared.0, calls: calls) {
          result = .success(.published)
        } else {
          if let record, let shared, record.state.isFinal { try shared.0.setState(record.number, .running, failure: nil) }
          let (plan, warnings) = try plan()
          let merge = try PreparedMerge(
            plan, job: id, output: output, options: options, context: context, calls: calls, shared: shared,
            resuming: record, priority: priority, hasCompany: hasCompany)
          result = .success(.merge(merge, warnings))
        }
      } catch {
        result = .failure(error)
      }
      loop.perform { self.assumeIsolated { $0.prepared(id, result) } }
    }
  }

  /// Answers whoever waits to hear whether a job runs.
  func reply(_ id: JobID, _ result: Result<JobID, Failure>) {
    replies.removeValue(forKey: id)?(result)
  }

  /// Nobody is left without an answer by a coordinator that ends.
  func answerBeforeEnding() {
    for id in replies.keys.sorted() {
      let remedy = "see expomerge status when it is back, and submit the job again if it is not there"
      reply(id, .failure(Self.ending("job \(id) was not prepared in time", remedy: remedy)))
    }
  }

  static func ending(_ message: String, remedy: String) -> Failure {
    Failure(.unavailable, Problem(.coordinatorEnding, "the coordinator is about to end: \(message)", remedy: remedy))
  }

  private func prepared(_ id: JobID, _ result: Result<Prepared, Failure>) {
    switch result {
    case .failure(let failure):
      endIfJournalFailed(failure)
      let waits = jobs[id]?.isPatient == true && failure.mayPass
      guard !waits || jobs[id]?.isCancelled == true else { return wait(id, failure) }
      conclude(id, waits ? .cancelled : .failed, waits ? Self.cancelled : failure)
      // A job that never began is told to who submitted it, and forgotten.
      if jobs[id]?.record == nil { jobs[id] = nil }
    case .success(.published):
      jobs[id]?.state = .complete
      jobs[id]?.endedAt = Self.now
      jobs[id]?.failure = nil
      logger.info("job \(id) had been published: \(jobs[id]?.output ?? "")")
      reply(id, .success(id))
    case .success(.merge(let merge, let warnings)):
      jobs[id]?.warnings = warnings
      jobs[id]?.failure = nil
      jobs[id]?.record = merge.record
      defer { reply(id, .success(id)) }
      for warning in merge.warnings { logger.warning("job \(id): \(warning)") }
      guard jobs[id]?.isCancelled == false else {
        jobThreads.submit { [self] in
          if merge.isNew { merge.discard() }
          loop.perform { self.assumeIsolated { $0.conclude(id, .cancelled, Self.cancelled) } }
        }
        return
      }
      let plan = merge.plan
      jobs[id]?.merge = merge
      jobs[id]?.bytes = plan.outputBytes
      jobs[id]?.context.progress.begin(.merging, total: plan.outputBytes)
      logger.info(
        "job \(id): \(plan.shardCount) shards in \(plan.files.count) files, \(plan.outputBytes) bytes, to \(jobs[id]?.output ?? "")")
      let known = merge.unchecked.count + merge.trusted.count
      if !merge.isNew {
        jobs[id]?.context.progress.goesOn(from: known, of: plan.shardCount)
        logger.info("job \(id): \(known) of \(plan.shardCount) shards are done; \(merge.unchecked.count) are read back first")
      }
      run(id, merge, done: merge.trusted, unchecked: merge.unchecked)
    }
  }

  /// Has the shards computed that are not done.
  private func run(_ id: JobID, _ merge: PreparedMerge, done: [Int: Digest128], unchecked: [Int: Digest128]) {
    jobs[id]?.state = .running
    jobs[id]?.runningSince = Self.now
    jobs[id]?.files = merge.plan.files.map { .init(name: $0.name, bytes: $0.size, shards: $0.shardCount, done: 0) }
    for shard in done.keys { didFinish(id, merge.plan.shard(shard)) }
    tell(
      .add(
        .init(
          offer: merge.offer, priority: jobs[id]?.priority ?? 0, stretches: merge.source.stretches, done: done,
          unchecked: unchecked, isResumed: merge.mayHaveWriters, sums: merge.sumCount,
          attemptsBefore: attemptsBefore(of: id))))
  }

  /// A job that runs again in one life of the coordinator goes on counting attempts elsewhere: none is granted twice.
  /// No shard is tried a million times.
  private func attemptsBefore(of id: JobID) -> Int {
    defer { timesRun[id, default: 0] += 1 }
    return min(timesRun[id, default: 0], 4000) << 20
  }

  static var cancelled: Failure { Failure(.interrupted, Problem(.interrupted, "stopped")) }

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
    if job.retryAt != nil { conclude(id, .cancelled, Self.cancelled) }
    return true
  }

  // MARK: the end

  func finish(_ id: JobID) {
    if let verification = jobs[id]?.verification { return finish(id, verification) }
    guard let job = jobs[id], let merge = job.merge else { return }
    guard dataServer.assumeIsolated({ $0.isQuiet(id) }) else {
      jobs[id]?.waitsForQuiet = true
      return
    }
    jobs[id]?.waitsForQuiet = false
    guard !job.isCancelled else { return conclude(id, .cancelled, Self.cancelled) }
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
      conclude(id, .complete, outcome: outcome)
    case .failure(let failure) where jobs[id]?.merge?.hasLostFiles == true: forgetLostFiles(id, failure)
    case .failure(let failure): giveUp(id, failure)
    }
  }

  private func giveUp(_ id: JobID, _ failure: Failure) {
    endIfJournalFailed(failure)
    // It may be published already. The journal has the last that could be written, and the next start goes on from there.
    let isCancelled = failure.category == .interrupted && fatal == nil
    conclude(id, isCancelled ? .cancelled : .failed, failure)
  }

  /// A coordinator ends where its journal cannot be written.
  private func endIfJournalFailed(_ failure: Failure) {
    guard let journal = configuration.journal, let problem = failure.problems.first,
      problem.file == journal.path.string, [.journalFull, .journalFailed].contains(problem.code)
    else { return }
    journalFailed(failure)
  }

  private static let syncLimit = 2

  /// What could not be made durable is computed again: now, or when the job is gone on with.
  private func forgetLostFiles(_ id: JobID, _ failure: Failure) {
    guard let job = jobs[id], let merge = job.merge else { return }
    let isRedone = failure.problems[0].code == .syncFailed && job.lostSyncs < Self.syncLimit
    jobs[id]?.lostSyncs += 1
    remember(.error, id, "sync-failed", "job \(id): \(failure); what the file holds is \(isRedone ? "computed again" : "lost")")
    jobThreads.submit { [self] in
      let lost: Result<Set<Int>, Failure>
      do throws(Failure) { lost = .success(try merge.takeLostShards()) } catch { lost = .failure(error) }
      loop.perform {
        self.assumeIsolated { service in
          switch lost {
          case .failure(let failure): service.giveUp(id, failure)
          case .success where service.jobs[id]?.isCancelled == true: service.giveUp(id, Self.cancelled)
          case .success where !isRedone: service.giveUp(id, failure)
          case .success(let lost):
            var done: [Int: Digest128] = [:]
            for (shard, result) in merge.results.values.enumerated() where !lost.contains(shard) {
              done[shard] = result?.digest
            }
            service.jobs[id]?.context.progress.begin(.merging, total: merge.plan.outputBytes)
            service.run(id, merge, done: done, unchecked: [:])
          }
        }
      }
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
      conclude(id, .failed, failure)
    } else {
      conclude(id, .cancelled, Self.cancelled)
    }
  }

  private func closed(_ id: JobID, _ failure: Failure?) {
    if let failure { reply(id, .failure(failure)) }
    let waiting = jobs[id]?.afterClosing ?? []
    jobs[id]?.afterClosing = nil
    for work in waiting { work() }
  }

  func conclude(_ id: JobID, _ state: Status.JobState, _ failure: Failure? = nil, outcome: MergeJob.Outcome? = nil) {
    guard let job = jobs[id], !job.state.isOver else { return }
    jobs[id]?.state = state
    history.jobEnded(state)
    jobs[id]?.endedAt = Self.now
    jobs[id]?.retryAt = nil
    if let failure {
      jobs[id]?.failure = failure
      if state == .failed {
        // Who has submitted what cannot even begin is told so, and can do it without end.
        if job.hasBegun {
          remember(.error, id, "failed", "job \(id) failed: \(failure.summary)")
        } else {
          remember(.error, id, "failed", "job \(id) failed: \(failure.summary)", within: &stillbirths)
        }
      } else {
        remember(.info, id, "cancelled", "job \(id) was cancelled")
      }
    } else {
      remember(.info, id, "complete", "job \(id) is complete: \(job.output)")
    }
    let final = JobRecord.State(state)
    // Files and results are let go of, and the lock on the output. Closing can take long on a network filesystem.
    jobs[id]?.merge = nil
    jobs[id]?.verification = nil
    jobs[id]?.afterClosing = []
    jobs[id]?.meter.forget()
    let merge = job.merge
    let reason = jobs[id]?.failure
    // What the coordinator itself could not go on with goes on at its next start.
    let staysOpen = fatal != nil
    if !staysOpen { jobs[id]?.record?.state = final }
    jobThreads.submit { [self] in
      do throws(Failure) {
        if let journal = configuration.journal, merge != nil || job.record != nil, state != .complete, !staysOpen {
          try journal.setState(id.number, final, failure: reason)
        }
      } catch {
        logger.error("\(error)")
      }
      merge?.close()
      if let failure { job.completion(.failure(failure)) } else if let outcome { job.completion(.success(outcome)) }
      // Only now: what is told is in the journal.
      loop.perform { self.assumeIsolated { $0.closed(id, reason) } }
    }
    // Those that never began do not displace others.
    for hasBegun in [true, false] {
      let over = jobs.values.filter { $0.state.isOver && $0.hasBegun == hasBegun }
      for old in over.sorted(by: { $0.id < $1.id }).dropLast(configuration.memory) { forgetJob(old.id) }
    }
  }

  /// A job that was over long ago is not shown any more, and its part of the journal is given back.
  func forgetJob(_ id: JobID) {
    jobs[id] = nil
    guard let journal = configuration.journal else { return }
    jobThreads.submit { [logger] in
      do throws(Failure) { try journal.removeJob(id.number) } catch { logger.error("\(error)") }
    }
  }
}

extension Problem.Code {
  static let coordinatorEnding = Self("coordinator-ending")
  static let optionsUnreadable = Self("options-unreadable")
  static let pathNotAbsolute = Self("path-not-absolute")
  static let resultInvalid = Self("result-invalid")
}

extension Plan {
  /// Consecutive shards of one file that read the same input files.
  func stretches() -> [Scheduler.JobSpecification.Stretch] {
    var stretches: [Scheduler.JobSpecification.Stretch] = []
    for number in 0..<shardCount {
      let shard = shard(number)
      var inputs: Set<WorkerMessage.Failed.Input> = []
      for segment in segments(of: shard) {
        for (side, source) in [(Side.aligned, segment.aligned), (.sft, segment.sft)] {
          guard let source else { continue }
          inputs.insert(.init(side: side, file: source.file))
          if let scaling = source.scaling { inputs.insert(.init(side: side, file: scaling.source.file)) }
        }
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
