import Wire

extension Scheduler {
  /// Grants leases to a worker until it has enough.
  mutating func fill(_ id: SessionID) {
    guard grantsAllowed, let session = sessions[id], session.mayWork(at: now) else { return }
    let slots = session.hello.slots
    let most = configuration.leases(slots: slots)
    let mostWithResults = most + configuration.results(slots: slots)
    var (checks, grants, sums): ([Attempt], [Attempt], [Attempt]) = ([], [], [])
    for job in order {
      // A worker does not wait for the journal, unless that is far behind.
      while let session = sessions[id], session.held < most, session.leases.count < mostWithResults {
        // The last shards are not queued up behind others while somebody else could have them.
        if session.held >= slots, pendingCount < slotTotal { break }
        if let shard = pickUnchecked(for: id, of: job) {
          checks.append(grant(shard, of: job, to: id, .check))
        } else if let shard = pick(for: id, of: job) {
          grants.append(grant(shard, of: job, to: id))
        } else if let file = pickSum(for: id, of: job) {
          sums.append(grantSum(file, of: job, to: id))
        } else {
          break
        }
      }
    }
    tell(id, of: checks, by: .check(.init(checks)))
    tell(id, of: grants, by: .grant(.init(grants)))
    tell(id, of: sums, by: .sum(.init(sums)))
  }

  mutating func tell(_ id: SessionID, of granted: [Attempt], by message: CoordinatorMessage) {
    guard !granted.isEmpty else { return }
    let seq = send(message, to: id)
    for key in granted { leases[key]?.seq = seq }
  }

  private var pendingCount: Int {
    order.reduce(0) { $0 + (jobs[$1].map { $0.pending.count + $0.unchecked.count + $0.retries.count + $0.sums.waiting.count } ?? 0) }
  }

  /// The next shard that a worker is to read back: that behind its last, or one far from those of others.
  private mutating func pickUnchecked(for id: SessionID, of job: JobID) -> Int? {
    guard let access = sessions[id]?.jobs[job], access.canCheck else { return nil }
    let cursor = access.checkCursor
    let shard = withJob(job) { job -> Int? in
      guard job.unchecked.count > 0, !job.isStopping else { return nil }
      let shard = cursor.flatMap { job.unchecked.contains($0) ? $0 : nil } ?? job.unchecked.roomiest
      if let shard { job.unchecked.remove(shard) }
      return shard
    }
    guard let shard = shard ?? nil else { return nil }
    sessions[id]?.jobs[job]?.checkCursor = shard + 1
    return shard
  }

  /// The next shard of a job for a worker, taken out of those that wait.
  private mutating func pick(for id: SessionID, of job: JobID) -> Int? {
    guard withJob(job, { $0.isStopping }) == false, let access = sessions[id]?.jobs[job] else { return nil }
    if let retry = retry(for: id, of: job, access) { return retry }
    guard let shard = next(of: job, access) else { return nil }
    withJob(job) { job in
      job.pending.remove(shard)
      // It walks on from here.
      job.pending.addWalker(at: access.cursor, -1)
      job.pending.addWalker(at: shard + 1, 1)
    }
    sessions[id]?.jobs[job]?.cursor = shard + 1
    return shard
  }

  /// The shard that follows the worker's last, unless something can be had that suits it better.
  private func next(of job: JobID, _ access: JobAccess) -> Int? {
    guard let pending = jobs[job]?.pending, pending.count > 0 else { return nil }
    var following: (shard: Int, preference: UInt8)?
    if let cursor = access.cursor, pending.contains(cursor) {
      let preference = access.classes[pending.stretch(of: cursor)]
      if preference == access.leastClass { return cursor }
      if preference != JobAccess.barred { following = (cursor, preference) }
    }
    var best: Int?
    for stretch in access.preferred where pending.stretches[stretch].freeCount > 0 {
      if let following, access.classes[stretch] >= following.preference { return following.shard }
      if let found = best {
        // Sorted by class: the rest suits less.
        if access.classes[stretch] > access.classes[found] { break }
        if pending.stretches[stretch].walkers < pending.stretches[found].walkers { best = stretch }
      } else {
        best = stretch
      }
      if pending.stretches[stretch].walkers == 0 { break }
    }
    // The worker itself is none of the others that are at work there.
    let own = access.cursor.map { pending.stretch(of: $0) }
    return best.flatMap { pending.beginning(in: $0, others: pending.stretches[$0].walkers - (own == $0 ? 1 : 0)) }
  }

  /// A failed shard whose time has come: for a worker that it has not failed on, if there is one.
  private mutating func retry(for id: SessionID, of job: JobID, _ access: JobAccess) -> Int? {
    guard withJob(job, { $0.retries.isEmpty }) == false, let state = jobs[job], let name = sessions[id]?.hello.name else {
      return nil
    }
    let index = state.retries.firstIndex { retry in
      guard retry.notBefore <= now, access.classes[state.pending.stretch(of: retry.shard)] != JobAccess.barred else {
        return false
      }
      guard let failures = state.failures[retry.shard], failures.names.contains(name) else { return true }
      return !hasOther(than: failures.names, for: retry.shard, of: state)
    }
    return index.flatMap { jobs[job]?.retries.remove(at: $0).shard }
  }

  /// Whether a worker of another name could take a shard.
  ///
  /// - Parameter evenLater: counts those that get no work for a while, and those that still look at the job's files.
  func hasOther(than names: Set<String>, for shard: Int, of job: Job, evenLater: Bool = false) -> Bool {
    let stretch = job.pending.stretch(of: shard)
    return joined.contains { id in
      guard let session = sessions[id], !names.contains(session.hello.name),
        session.mayWork(at: now) || evenLater && !session.isDraining
      else { return false }
      if let access = session.jobs[job.id] { return access.classes[stretch] != JobAccess.barred }
      // One that never answers is not waited for.
      guard evenLater, let offer = session.offered[job.id] else { return false }
      return now.milliseconds(since: offer.first) < configuration.stallMilliseconds
    }
  }

  @discardableResult
  mutating func grant(
    _ shard: Int, of job: JobID, to id: SessionID, _ work: WorkerSession.Work = .compute
  ) -> Attempt {
    let key = withJob(job) { job in
      job.attempts[shard] += 1
      let key = Attempt(job: job.id, shard: shard, attempt: Int(job.attempts[shard]))
      if key.attempt > job.specification.attemptsBefore + 1 && work == .compute { job.retryCount += 1 }
      job.status[shard] = .leased
      job.live[shard, default: []].append(key)
      return key
    }!
    sessions[id]!.leases.append(key)
    leases[key] = Lease(key: key, session: id, work: work, seq: 0, grantedAt: now, progressAt: now)
    story.add(now, job, shard, "attempt \(key.attempt) granted to \(sessions[id]!.hello.name)\(work == .check ? ", to read back" : "")")
    return key
  }

  // MARK: the end of a lease

  enum Fate {
    /// At once for anyone.
    case pending
    /// After a while, elsewhere.
    case retry(after: Int)
    /// The shard is done.
    case done
  }

  /// Ends a lease; its shard follows unless another lease of it lives.
  mutating func end(_ key: Attempt, then fate: Fate) {
    guard let lease = leases.removeValue(forKey: key) else { return }
    commands.append(.leasesEnded([key]))
    if let index = sessions[lease.session]?.leases.firstIndex(of: key) {
      sessions[lease.session]?.leases.remove(at: index)
      if lease.phase == .committing { sessions[lease.session]?.committing -= 1 }
    }
    let isFree = withJob(key.job) { [now] job in
      job.live[key.shard]?.removeAll { $0 == key }
      if job.live[key.shard]?.isEmpty == true { job.live[key.shard] = nil }
      if lease.work == .sum {
        if case .done = fate { return false }
        if !job.isStopping { job.sums.waiting.append(key.shard - job.shardCount) }
        return !job.isStopping
      }
      if case .done = fate {
        job.status[key.shard] = .done
        return false
      }
      guard job.status[key.shard] == .leased, job.live[key.shard] == nil, !job.isStopping else { return false }
      if lease.work == .check {
        job.status[key.shard] = .unchecked
        job.unchecked.insert(key.shard)
        return true
      }
      switch fate {
      case .retry(let delay):
        job.status[key.shard] = .retrying
        job.retries.append(Retry(shard: key.shard, notBefore: now.adding(milliseconds: delay)))
      case .pending, .done:
        job.status[key.shard] = .pending
        job.pending.insert(key.shard)
      }
      return true
    }
    if isFree == true { hasNewWork = true }
  }
}
