import Checkpoint
import Diagnostics
public import Journal
import Logging
import Planning
import Scheduling
import SystemPackage
import Threads
import Wire
import ZeroMQ

/// Jobs that go on: those of an earlier life, and those that were stopped or wait for what is not there.
extension CoordinatorService {
  /// Takes up the jobs that the journal holds: those that are not over go on, the latest others are shown.
  public nonisolated func takeUp(_ records: [JobRecord]) {
    loop.perform {
      self.assumeIsolated { service in
        let over = records.filter(\.state.isFinal)
        for record in over.dropLast(service.configuration.memory) { service.forgetJob(JobID(record.number)) }
        for record in over.suffix(service.configuration.memory) { service.show(record) }
        for record in records where !record.state.isFinal { service.takeUp(record) }
      }
    }
  }

  private func takeUp(_ record: JobRecord) {
    let age = max(0, wallMilliseconds() - record.submittedAt)
    resume(record, startedAt: Self.now.adding(milliseconds: -age), isPatient: true) { [weak self] result in
      self?.assumeIsolated { service in
        let id = JobID(record.number)
        guard case .failure(let failure) = result, service.jobs[id] == nil, !service.isEnding else { return }
        // Not even begun: it is shown all the same.
        service.jobs[id] = ServedJob(record, context: service.configuration.context, startedAt: Self.now)
        service.conclude(id, .failed, failure)
      }
    }
  }

  private func show(_ record: JobRecord) {
    let id = JobID(record.number)
    let duration = max(0, (record.endedAt ?? record.submittedAt) - record.submittedAt)
    var job = ServedJob(record, context: configuration.context, startedAt: Self.now.adding(milliseconds: -duration))
    job.state = Status.JobState(record.state)
    job.endedAt = Self.now
    job.failure = record.failure
    jobs[id] = job
    guard job.state == .complete, let journal = configuration.journal else { return }
    jobThreads.submit { [self] in
      guard let done = try? journal.done(of: record.number) else { return }
      loop.perform {
        self.assumeIsolated { service in
          service.jobs[id]?.shardsDone = done.shards
          service.jobs[id]?.bytes = done.bytes
        }
      }
    }
  }

  /// Goes on with a job that was stopped or failed, in this life or an earlier one.
  func resume(_ question: ClientRequest.Resume, then reply: @escaping @Sendable (Result<JobID, Failure>) -> Void) {
    if let failure = tooBusy() { return reply(.failure(failure)) }
    let id = question.job
    if jobs[id]?.retryAt != nil { return prepareAgain(id, trustsSynced: question.trustsSynced, then: reply) }
    guard let job = jobs[id], let record = job.record, job.state == .failed || job.state == .cancelled else {
      let state = jobs[id]?.state.rawValue
      let message = state.map { "job \(id) is \($0), and there is nothing to go on with" } ?? "there is no job \(id)"
      return reply(.failure(Failure(.inputNotFound, Problem(.init("not-found"), message, remedy: "see expomerge status"))))
    }
    if job.afterClosing != nil {
      jobs[id]?.afterClosing?.append { self.assumeIsolated { $0.resume(question, then: reply) } }
      return
    }
    resume(record, trustsSynced: question.trustsSynced, then: reply)
  }

  /// - Parameter isPatient: whether it waits for what is not there yet, rather than fail.
  private func resume(
    _ record: JobRecord, startedAt: Instant = now, trustsSynced: Bool = false, isPatient: Bool = false,
    then reply: @escaping @Sendable (Result<JobID, Failure>) -> Void
  ) {
    let id = JobID(record.number)
    guard !isEnding else {
      return reply(.failure(Self.ending("job \(id) is not gone on with", remedy: "try again when it is back")))
    }
    guard let options = MergeJob.Options(stored: record.options) else {
      let problem = Problem(
        .optionsUnreadable, "what was asked for of job \(id) beside the recipe cannot be read",
        file: configuration.journal?.path.string, remedy: "submit it again, with --restart")
      return reply(.failure(Failure(.badData, problem)))
    }
    let context = RunContext(threads: configuration.context.threads, readMethod: configuration.context.readMethod)
    jobs[id] = ServedJob(record, context: context, startedAt: startedAt)
    jobs[id]?.isPatient = isPatient
    remember(.info, id, "resumed", "job \(id) is gone on with")
    // Of one that may wait nobody waits to hear.
    prepare(record, options, trustsSynced, isPatient ? nil : reply)
  }

  private func prepare(
    _ record: JobRecord, _ options: MergeJob.Options, _ trustsSynced: Bool,
    _ reply: (@Sendable (Result<JobID, Failure>) -> Void)?
  ) {
    var options = options
    options.trustsSynced = trustsSynced
    let calls = configuration.calls
    let plan: @Sendable () throws(Failure) -> (Plan, [Problem]) = { () throws(Failure) in
      let plan = try Plan(
        aligned: Checkpoint.open(FilePath(record.aligned), calls: calls), sft: Checkpoint.open(FilePath(record.sft), calls: calls),
        recipe: record.recipe)
      return (plan, plan.aligned.warnings + plan.sft.warnings)
    }
    prepare(JobID(record.number), FilePath(record.output), options, resuming: record, plan: plan, then: reply)
  }

  // MARK: jobs that wait

  /// What the job needs is not there now: it stays as the journal has it, and is tried again.
  func wait(_ id: JobID, _ failure: Failure) {
    if jobs[id]?.failure != failure {
      let seconds = configuration.retryMilliseconds / 1000
      remember(.warning, id, "waiting", "job \(id) waits: \(failure.summary); it is tried again every \(seconds) s")
    }
    jobs[id]?.failure = failure
    jobs[id]?.retryAt = Self.now.adding(milliseconds: configuration.retryMilliseconds)
    reply(id, .failure(failure))
  }

  /// Tries those again that have waited long enough.
  func retryWaitingJobs() {
    guard !isEnding else { return }
    let now = Self.now
    for (id, job) in jobs { if let time = job.retryAt, time <= now { prepareAgain(id) } }
  }

  private func prepareAgain(
    _ id: JobID, trustsSynced: Bool = false, then reply: (@Sendable (Result<JobID, Failure>) -> Void)? = nil
  ) {
    guard let record = jobs[id]?.record, let options = MergeJob.Options(stored: record.options) else { return }
    jobs[id]?.retryAt = nil
    prepare(record, options, trustsSynced, reply)
  }
}
