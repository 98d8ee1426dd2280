import Diagnostics
import Digests
import Wire

extension Scheduler {
  mutating func add(_ specification: JobSpecification) {
    let id = specification.offer.job
    precondition(jobs[id] == nil && specification.shardCount > 0)
    let count = specification.shardCount
    var job = Job(
      id: id, specification: specification, pending: PendingShards(stretches: specification.stretches.map(\.shards)),
      status: Array(repeating: .pending, count: count), attempts: Array(repeating: 0, count: count),
      digests: Array(repeating: Digest128(high: 0, low: 0), count: count),
      // Workers of an earlier life fence themselves within that time.
      doneNotBefore: specification.isResumed ? now.adding(milliseconds: configuration.leaseMilliseconds * 5 / 4) : now)
    for (shard, digest) in specification.done where job.status.indices.contains(shard) {
      job.status[shard] = .done
      job.digests[shard] = digest
      job.doneCount += 1
    }
    var start = 0
    for shard in 0...count where shard == count || job.status[shard] == .done {
      if start < shard { job.pending.insert(start..<shard) }
      start = shard + 1
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
