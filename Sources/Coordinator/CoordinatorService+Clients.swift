import Diagnostics
import Glibc
import Scheduling
import Wire
import Worker
import ZeroMQ

/// What commands ask of a coordinator.
extension CoordinatorService {
  func answer(_ request: ClientRequest, _ number: Int, _ route: [UInt8]) {
    func reply(_ reply: ClientReply) { send(reply.encoded(request: number), to: route) }
    switch request {
    case .status(let question):
      if let job = question.job, jobs[job] == nil { return reply(Self.error("there is no job \(job)")) }
      reply(.status(status(of: question.job)))
    case .submit(let submission): submit(submission, then: submitted(number, route))
    case .verify(let question): verify(question, then: submitted(number, route))
    case .resume(let question): resume(question, then: submitted(number, route))
    case .cancel(let question):
      guard let job = jobs[question.job] else { return reply(Self.error("there is no job \(question.job)")) }
      guard cancelJob(question.job) else {
        return reply(Self.error("job \(question.job) is \(job.state.rawValue) already"))
      }
      let rest = job.isVerification ? "" : "; \(job.output).partial is left"
      reply(.done(.init(message: "job \(question.job) is being cancelled\(rest)")))
    case .drainWorker(let question):
      let found = scheduler.workers(at: Self.now).filter {
        $0.hello.name == question.worker || $0.id.description == question.worker
      }
      guard let worker = found.first else { return reply(Self.error("there is no worker \(question.worker)")) }
      guard found.count == 1 else {
        return reply(
          Self.error(
            "\(found.count) workers are called \(question.worker)",
            remedy: "give the session of one: \(found.map(\.id.description).joined(separator: ", "))"))
      }
      tell(.drain(worker.id))
      reply(.done(.init(message: "worker \(worker.hello.name) finishes \(worker.running) shards and ends")))
    }
  }

  /// Tells a client, from the loop, that its job is running, or why not.
  private func submitted(_ number: Int, _ route: [UInt8]) -> @Sendable (Result<JobID, Failure>) -> Void {
    { result in
      self.assumeIsolated { service in
        let reply: ClientReply =
          switch result {
          case .success(let job): .submitted(.init(job: job))
          case .failure(let failure): .error(.init(failure))
          }
        service.send(reply.encoded(request: number), to: route)
      }
    }
  }

  private static func error(_ message: String, remedy: String? = "see expomerge status") -> ClientReply {
    .error(.init(Failure(.inputNotFound, Problem(.init("not-found"), message, remedy: remedy))))
  }

  // MARK: status

  func status(of job: JobID?) -> Status {
    let now = Self.now
    let coordinator = Status.Coordinator(
      version: expomergeVersion, host: hostName, process: Int(getpid()), epoch: configuration.epoch,
      uptimeSeconds: now.seconds(since: startedAt), discarded: discarded)
    let chosen = jobs.keys.sorted().filter { job == nil || $0 == job }
    return Status(
      coordinator: coordinator, jobs: chosen.compactMap { status($0, now) },
      workers: scheduler.workers(at: now).map { status($0, now) })
  }

  private func status(_ id: JobID, _ now: Instant) -> Status.Job? {
    guard let job = jobs[id] else { return nil }
    let phase = job.retryAt != nil ? Status.Job.waiting : job.context.progress.snapshot.phase.rawValue
    var status = Status.Job(
      job: id, kind: job.kind, state: job.state, phase: job.state.isOver ? "" : phase,
      priority: job.priority, aligned: job.aligned, sft: job.sft, output: job.output, alphas: job.alphas)
    status.bytes = job.bytes
    status.files = job.files
    status.shards = job.shardsDone ?? job.files.reduce(0) { $0 + $1.shards }
    status.shardsDone = job.shardsDone ?? job.files.reduce(0) { $0 + $1.done }
    if let view = scheduler.job(id) {
      status.shardsRunning = view.leased
      status.retries = view.retries
    }
    status.bytesDone = job.state == .complete || job.state == .finishing ? job.bytes : min(job.meter.total, job.bytes)
    status.seconds = (job.endedAt ?? now).seconds(since: job.startedAt)
    if let since = job.runningSince, job.state == .running {
      status.rate = job.meter.rate(at: now, since: since)
      if status.rate > 0 { status.etaSeconds = Double(status.bytes - status.bytesDone) / status.rate }
    }
    status.problems = job.state == .cancelled ? [] : (job.failure?.problems ?? []).map { ProblemReport($0) }
    if job.state == .failed { status.exitCode = job.failure?.exitCode }
    status.warnings = job.warnings.map { ProblemReport($0) }
    return status
  }

  private func status(_ worker: Scheduler.SessionView, _ now: Instant) -> Status.Worker {
    let record = workers[worker.id]
    return Status.Worker(
      name: worker.hello.name, session: worker.id, key: worker.user, host: worker.hello.host,
      process: worker.hello.process, version: worker.hello.version, level: worker.hello.level, state: worker.state,
      slots: worker.hello.slots, running: worker.running, queued: worker.queued, shards: worker.shardsDone,
      bytes: record?.meter.total ?? 0, failures: worker.failures,
      rate: record.map { $0.meter.rate(at: now, since: $0.joinedAt) } ?? 0, lastSeenSeconds: worker.silence,
      jobs: worker.prepared.map { prepared in
        let inputs = prepared.aligned + prepared.sft
        let direct = inputs.count { $0 == .direct }
        return .init(
          job: prepared.job, directInputs: direct, streamedInputs: inputs.count - direct, output: prepared.output,
          notes: prepared.notes, refusal: prepared.refusal)
      })
  }
}
