import Diagnostics
import Digests
import Wire

extension Scheduler {
  mutating func add(_ specification: JobSpecification) {
    let id = specification.offer.job
    precondition(jobs[id] == nil && specification.shardCount > 0)
    let count = specification.shardCount
    let nothing = PendingShards(stretches: specification.stretches.map(\.shards))
    var job = Job(
      id: id, specification: specification, pending: nothing, unchecked: nothing,
      status: Array(repeating: .pending, count: count), attempts: Array(repeating: UInt32(specification.attemptsBefore), count: count),
      digests: Array(repeating: Digest128(high: 0, low: 0), count: count),
      addedAt: now,
      // Workers of an earlier life fence themselves within that time.
      doneNotBefore: specification.isResumed ? now.adding(milliseconds: configuration.resumeMilliseconds) : now)
    for (shard, digest) in specification.done where job.status.indices.contains(shard) {
      job.status[shard] = .done
      job.digests[shard] = digest
      job.doneCount += 1
    }
    for (shard, digest) in specification.unchecked where job.status(of: shard) == .pending {
      job.status[shard] = .unchecked
      job.digests[shard] = digest
    }
    var start = 0
    for shard in 1...count where shard == count || job.status[shard] != job.status[start] {
      switch job.status[start] {
      case .pending: job.pending.insert(start..<shard)
      case .unchecked: job.unchecked.insert(start..<shard)
      case .retrying, .leased, .done: break
      }
      start = shard
    }
    jobs[id] = job
    order.append(id)
    order.sort { one, other in
      let (a, b) = (jobs[one]!.specification.priority, jobs[other]!.specification.priority)
      return a != b ? a > b : one < other
    }
    offer(id)
  }

  /// - Parameters:
  ///   - problem: nil where somebody asked for it.
  ///   - failed: a lease whose worker has ended it.
  mutating func stop(_ id: JobID, because problem: Problem?, failed: Attempt? = nil) {
    defer { if let failed { end(failed, then: .pending) } }
    guard let job = jobs[id], !job.isStopping else { return }
    jobs[id]?.isStopping = true
    jobs[id]?.problem = problem
    if let problem { commands.append(.jobFailing(id, problem)) }
    for keys in job.live.values.sorted(by: { $0[0].shard < $1[0].shard }) {
      for key in keys { revoke(key) }
    }
  }

  mutating func verified(_ id: JobID, _ shard: Int, _ matches: Bool) {
    guard jobs[id]?.verifying.remove(shard) != nil else { return }
    if jobs[id]?.status[shard] == .unchecked { return checkedHere(id, shard, matches) }
    // What differed once is read back again when it has been redone.
    guard !matches else {
      jobs[id]?.contested.remove(shard)
      return
    }
    let name = jobs[id]?.winners[shard] ?? "a worker"
    note(.readBackDiffers(id, shard: shard, name: name))
    story.add(now, id, shard, "read back and found to differ from what \(name) reported")
    withJob(id) { [now, configuration] job in
      job.status[shard] = .retrying
      job.doneCount -= 1
      job.retries.append(Retry(shard: shard, notBefore: now.adding(milliseconds: configuration.backoffMilliseconds)))
      job.failures[shard, default: Failures()].names.insert(name)
      job.failures[shard]?.count += 1
    }
    for session in joined where sessions[session]?.hello.name == name { blame(session) }
    guard let job = jobs[id], let failures = job.failures[shard], isHopeless(failures, shard, job) else { return }
    stop(
      id,
      because: Self.hopeless(
        shard, failures, Problem(.readBackDiffers, "the file does not hold what was reported", remedy: "check its disk")))
  }

  // MARK: what an earlier life has done

  /// A worker has read a shard back.
  mutating func checked(_ key: Attempt, _ digest: Digest128) {
    guard let lease = leases[key], let session = sessions[lease.session], let job = jobs[key.job] else { return }
    send(.acknowledge(.init([key])), to: lease.session)
    sessions[lease.session]?.failuresInRow = 0
    checked(key, matches: job.digests[key.shard] == digest, by: session.hello.name)
    fill(lease.session)
  }

  /// Ends the lease of a shard that was read back, or could not be.
  mutating func checked(_ key: Attempt, matches: Bool, by name: String) {
    story.add(now, key.job, key.shard, "read back by \(name): \(matches ? "as journalled" : "differs")")
    commands.append(.checked(key.job, shard: key.shard, matches: matches))
    if withJob(key.job, { $0.isDone(key.shard, afterReading: matches) }) == true {
      withJob(key.job) { $0.doneCount += 1 }
      return end(key, then: .done)
    }
    if jobs[key.job]?.writes == true { note(.outputDiffers(key.job, shard: key.shard, name: name)) }
    // From here on it is a shard like those that were never computed.
    leases[key]?.work = .compute
    end(key, then: .pending)
  }

  /// Reads shards back that no worker can.
  mutating func checkHere() {
    guard grantsAllowed else { return }
    for id in order {
      guard withJob(id, { $0.unchecked.count > 0 && !$0.isStopping }) == true, !hasChecker(of: id) else { continue }
      let begun = withJob(id) { [configuration] job in
        var begun: [Command] = []
        while job.verifying.count < configuration.checkLimit, let shard = job.unchecked.first {
          job.unchecked.remove(shard)
          job.verifying.insert(shard)
          begun.append(.verify(id, shard: shard, expected: job.digests[shard]))
        }
        return begun
      }
      commands += begun ?? []
    }
  }

  /// Whether a worker can read the output back, or may still say that it can.
  func hasChecker(of id: JobID) -> Bool {
    let isNew = jobs[id].map { now < $0.addedAt.adding(milliseconds: configuration.offerMilliseconds) } ?? false
    return joined.contains { session in
      guard let session = sessions[session], session.mayWork(at: now) else { return false }
      return session.jobs[id]?.canCheck ?? isNew
    }
  }

  private mutating func checkedHere(_ id: JobID, _ shard: Int, _ matches: Bool) {
    commands.append(.checked(id, shard: shard, matches: matches))
    let isDone = withJob(id) { job in
      let isDone = job.isDone(shard, afterReading: matches)
      job.status[shard] = isDone ? .done : .pending
      if isDone { job.doneCount += 1 } else { job.pending.insert(shard) }
      return isDone
    }
    if isDone == false { hasNewWork = true }
    if !matches && jobs[id]?.writes == true { note(.outputDiffers(id, shard: shard, name: nil)) }
  }

  /// Lets go of jobs that are over: all shards done and read back where need be, and no lease left.
  mutating func finishJobs() {
    for id in order {
      guard withJob(id, { $0.live.isEmpty }) == true, let job = jobs[id] else { continue }
      if job.isStopping {
        commands.append(.jobStopped(id))
        forget(id)
      } else if job.doneCount == job.shardCount, now >= job.doneNotBefore {
        let unread = job.contested.subtracting(job.verifying).sorted()
        for shard in unread {
          commands.append(.verify(id, shard: shard, expected: job.digests[shard]))
          jobs[id]?.verifying.insert(shard)
        }
        guard job.contested.isEmpty else { continue }
        beginSums(of: id)
        guard jobs[id]!.sums.done.count == job.specification.sums else { continue }
        commands.append(.jobDone(id))
        forget(id)
      }
    }
  }

  private mutating func forget(_ id: JobID) {
    jobs[id] = nil
    order.removeAll { $0 == id }
    for session in joined where sessions[session]?.offered[id] != nil {
      sessions[session]?.jobs[id] = nil
      sessions[session]?.offered[id] = nil
      send(.forget(.init(job: id)), to: session)
    }
  }
}
