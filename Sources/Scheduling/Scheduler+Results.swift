import Diagnostics
import Digests
import Wire

extension Scheduler {
  mutating func finished(_ finished: WorkerMessage.Finished, by id: SessionID) {
    let key = finished.key
    if let lease = leases[key], lease.session == id, lease.work == .sum { return summed(key, finished.sha256, by: id) }
    guard withJob(key.job, { $0.isStopping }) == false, let status = status(of: key) else {
      discard("unknown-job")
      send(.revoke(.init([key])), to: id)
      return
    }
    guard let lease = leases[key], lease.session == id else {
      // Either an acknowledgement was lost, or the lease was over before the result came.
      if status == .done && jobs[key.job]?.digests[key.shard] == finished.digest {
        send(.acknowledge(.init([key])), to: id)
      } else {
        discard("late-result")
        send(.revoke(.init([key])), to: id)
      }
      return
    }
    if lease.phase == .committing { return discard("repeated") }
    if lease.work == .check { return checked(key, finished.digest) }
    if status == .done {
      if jobs[key.job]?.digests[key.shard] == finished.digest {
        send(.acknowledge(.init([key])), to: id)
        return end(key, then: .done)
      }
      // Either the worker lies about what it sent, or two machines disagree.
      beginCommitting(key, finished.digest)
      return commands.append(.check(finished, from: id))
    }
    // One result at a time is made safe; the worker says this one again.
    let live = withJob(key.job) { $0.live[key.shard] } ?? nil
    if live?.contains(where: { leases[$0]?.phase == .committing }) == true { return }
    beginCommitting(key, finished.digest)
    story.add(now, key.job, key.shard, "attempt \(key.attempt) finished by \(sessions[id]?.hello.name ?? "?")")
    // First, as what comes of the commit may be said before the commands behind it are carried out.
    fill(id)
    commands.append(.commit(finished, from: id))
  }

  /// The worker is done with a lease; its result is being made safe.
  private mutating func beginCommitting(_ key: Attempt, _ digest: Digest128) {
    guard let session = leases[key]?.session else { return }
    leases[key]?.phase = .committing
    leases[key]?.digest = digest
    sessions[session]?.committing += 1
  }

  private mutating func status(of key: Attempt) -> ShardStatus? {
    withJob(key.job) { $0.status(of: key.shard) } ?? nil
  }

  mutating func committed(_ key: Attempt) {
    guard let lease = leases[key], lease.phase == .committing, let status = status(of: key) else {
      return discard("commit-of-nothing")
    }
    let name = sessions[lease.session]?.hello.name
    story.add(now, key.job, key.shard, "attempt \(key.attempt) committed")
    if status == .done && jobs[key.job]!.digests[key.shard] != lease.digest {
      if sessions[lease.session] != nil { send(.acknowledge(.init([key])), to: lease.session) }
      end(key, then: .done)
      return disagree(key, lease.digest, name ?? "a lost worker")
    }
    guard status == .leased else {
      return stop(
        key.job,
        because: Problem(
          .illegalTransition,
          "shard \(key.shard) was committed while \(status): \(story.of(key.job, key.shard))",
          remedy: "this is a fault of expomerge: please report it"))
    }
    let duration = now.milliseconds(since: lease.grantedAt)
    withJob(key.job) { job in
      job.status[key.shard] = .done
      job.digests[key.shard] = lease.digest
      job.doneCount += 1
      job.spaceFailures = 0
      // What is still to be read back is not yet forgiven.
      if !job.contested.contains(key.shard) { job.failures[key.shard] = nil }
      if !job.inputFailures.isEmpty {
        for input in job.specification.stretches[job.pending.stretch(of: key.shard)].inputs { job.inputFailures[input] = nil }
      }
      // Only where somebody may ask for it: a million names would be a lot.
      if let name, job.contested.contains(key.shard) || job.live[key.shard, default: []].count > 1 {
        job.winners[key.shard] = name
      }
      job.turnaround.sum += duration
      job.turnaround.count += 1
    }
    if sessions[lease.session] != nil {
      sessions[lease.session]!.shardsDone += 1
      sessions[lease.session]!.failuresInRow = 0
      sessions[lease.session]!.setAsideCount = 0
      send(.acknowledge(.init([key])), to: lease.session)
    }
    end(key, then: .done)
    for other in withJob(key.job, { $0.live[key.shard] ?? [] }) ?? [] { revoke(other) }
    fill(lease.session)
  }

  /// Two workers have computed one shard, with different results.
  private mutating func disagree(_ key: Attempt, _ digest: Digest128, _ name: String) {
    guard let job = jobs[key.job] else { return }
    stop(
      key.job,
      because: Problem(
        .digestsDiffer,
        "shard \(key.shard) came out differently on two workers: \(job.digests[key.shard]) from \(job.winners[key.shard] ?? "an earlier worker"), \(digest) from \(name)",
        remedy: "one of the two machines computes or stores wrongly: find out which with verify --recompute"))
  }

  /// Tells the worker to stop. The lease ends when the worker does not list it any more.
  mutating func revoke(_ key: Attempt) {
    guard let lease = leases[key], lease.phase == .granted else { return }
    leases[key]?.phase = .revoked
    if lease.work == .compute && jobs[key.job]?.writes == true { jobs[key.job]?.contested.insert(key.shard) }
    story.add(now, key.job, key.shard, "attempt \(key.attempt) revoked")
    send(.revoke(.init([key])), to: lease.session)
  }

  mutating func refused(_ key: Attempt, _ problem: Problem) {
    guard let lease = leases[key], lease.phase == .committing else { return discard("commit-of-nothing") }
    let name = sessions[lease.session]?.hello.name ?? "a lost worker"
    if sessions[lease.session] != nil { send(.acknowledge(.init([key])), to: lease.session) }
    recordFailure(key, cause: .other, problem, session: lease.session, name: name)
  }

  mutating func failed(_ failed: WorkerMessage.Failed, by id: SessionID) {
    let key = failed.key
    send(.acknowledge(.init([key])), to: id)
    guard let lease = leases[key], lease.session == id, let session = sessions[id], lease.phase != .committing else {
      return discard("late-failure")
    }
    guard lease.phase == .granted else { return end(key, then: .pending) }
    if lease.work != .compute {
      // It says something about the worker, and nothing about the bytes: others read them, or the coordinator.
      note(.shardFailed(key, name: session.hello.name, failed.problem.problem))
      sessions[id]?.jobs[key.job]?.cannotRead = true
      end(key, then: .pending)
      return blame(id)
    }
    if failed.cause == .input, let input = failed.input,
      jobs[key.job]?.offer[input.side].files.indices.contains(input.file) == true
    {
      jobs[key.job]?.inputFailures[input, default: Failures()].names.insert(session.hello.name)
      jobs[key.job]?.inputFailures[input]?.count += 1
      // The last that can try goes on trying, until it is hopeless.
      if let job = jobs[key.job], let failures = job.inputFailures[input] {
        if isHopeless(failures, key.shard, job) {
          note(.shardFailed(key, name: session.hello.name, failed.problem.problem))
          return stop(key.job, because: Self.hopeless(key.shard, failures, failed.problem.problem), failed: key)
        }
        if hasOther(than: failures.names, for: key.shard, of: job) { bar(input, for: id, of: key.job) }
      }
    }
    recordFailure(key, cause: failed.cause, failed.problem.problem, session: id, name: session.hello.name)
  }

  /// That worker is of no use for shards that need the input; others may be.
  private mutating func bar(_ input: WorkerMessage.Failed.Input, for id: SessionID, of job: JobID) {
    guard let access = sessions[id]?.jobs[job], let state = jobs[job], !access.barredInputs.contains(input) else {
      return
    }
    var changed = self.access(access.prepared, to: state, barred: access.barredInputs.union([input]))
    changed.cursor = access.cursor
    changed.checkCursor = access.checkCursor
    changed.cannotRead = access.cannotRead
    sessions[id]?.jobs[job] = changed
  }

  private mutating func recordFailure(
    _ key: Attempt, cause: WorkerMessage.Failed.Cause, _ problem: Problem, session id: SessionID, name: String
  ) {
    note(.shardFailed(key, name: name, problem))
    story.add(now, key.job, key.shard, "attempt \(key.attempt) failed on \(name): \(problem)")
    if jobs[key.job]?.status(of: key.shard) == .done {
      // Another worker has done it: nothing is lost but trust.
      end(key, then: .done)
      return blame(id)
    }
    if cause == .space {
      jobs[key.job]?.spaceFailures += 1
    } else {
      jobs[key.job]?.failures[key.shard, default: Failures()].names.insert(name)
      jobs[key.job]?.failures[key.shard]?.count += 1
    }
    let count = jobs[key.job]?.failures[key.shard]?.count ?? 0
    end(key, then: .retry(after: configuration.backoffMilliseconds << min(max(count - 1, 0), 6)))
    blame(id)
    guard let job = jobs[key.job], !job.isStopping else { return }
    if cause == .space {
      if job.spaceFailures >= configuration.failureLimit { stop(key.job, because: problem) }
    } else if let failures = job.failures[key.shard], isHopeless(failures, key.shard, job) {
      stop(key.job, because: Self.hopeless(key.shard, failures, problem))
    }
  }

  /// The worker died, or vanished, while it ran a shard.
  mutating func recordDeath(_ key: Attempt, of name: String) {
    jobs[key.job]?.failures[key.shard, default: Failures()].names.insert(name)
    guard let job = jobs[key.job], let failures = job.failures[key.shard], !job.isStopping,
      failures.names.count >= configuration.failureLimit
    else { return }
    let problem = Problem(.shardFailed, "the worker was lost while it computed the shard")
    stop(key.job, because: Self.hopeless(key.shard, failures, problem))
  }

  func isHopeless(_ failures: Failures, _ shard: Int, _ job: Job) -> Bool {
    failures.names.count >= configuration.failureLimit
      || failures.count >= configuration.failureLimit
        && !hasOther(than: failures.names, for: shard, of: job, evenLater: true)
  }

  static func hopeless(_ shard: Int, _ failures: Failures, _ problem: Problem) -> Problem {
    var problem = problem
    guard failures.names.count > 1 else { return problem }
    problem.message = "shard \(shard) failed on \(failures.names.sorted().joined(separator: ", ")): \(problem.message)"
    return problem
  }

  /// A worker that keeps failing gets no work for a while, longer each time.
  mutating func blame(_ id: SessionID) {
    guard let session = sessions[id] else { return }
    sessions[id]?.failures += 1
    sessions[id]?.failuresInRow += 1
    guard session.failuresInRow + 1 >= configuration.setAsideAfter, joined.count > 1 else { return }
    let time = configuration.setAsideMilliseconds << min(session.setAsideCount, 4)
    sessions[id]?.failuresInRow = 0
    sessions[id]?.setAsideCount += 1
    sessions[id]?.setAsideUntil = now.adding(milliseconds: time)
    countSlots()
    note(.workerSetAside(id, name: session.hello.name, milliseconds: time))
  }
}
