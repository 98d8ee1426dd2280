import Wire

extension Scheduler {
  mutating func tick() {
    let silent = joined.filter { id in
      guard let session = sessions[id] else { return false }
      return now >= session.lastHeard.adding(milliseconds: configuration.leaseMilliseconds)
    }
    for id in silent {
      guard let session = sessions[id] else { continue }
      note(.workerLost(id, name: session.hello.name, leases: session.leases.count))
      remove(id, died: true)
    }
    for id in joined {
      guard let until = sessions[id]?.setAsideUntil, until <= now else { continue }
      sessions[id]?.setAsideUntil = nil
      countSlots()
      hasNewWork = true
    }
    for id in order where jobs[id]?.retries.contains(where: { $0.notBefore <= now }) == true { hasNewWork = true }
    speculate()
  }

  /// Gives the slowest shards to workers that have nothing else to do: each shard to one more worker, once.
  private mutating func speculate() {
    guard grantsAllowed else { return }
    for id in joined {
      guard let session = sessions[id], session.mayWork(at: now), session.leases.count < session.hello.slots else {
        continue
      }
      // Ordinary work comes first.
      fill(id)
      while let session = sessions[id], session.leases.count < session.hello.slots, let slowest = slowest(for: id) {
        jobs[slowest.key.job]?.speculated.insert(slowest.key.shard)
        let key = grant(slowest.key.shard, of: slowest.key.job, to: id, seq: session.seq + 1)
        send(.grant(.init([key])), to: id)
        note(.speculated(key, name: session.hello.name))
      }
    }
  }

  /// The lease that has been running for longest, if that is much longer than usual.
  private func slowest(for id: SessionID) -> Lease? {
    var found: Lease?
    for jobID in order {
      guard let job = jobs[jobID], !job.isStopping, let session = sessions[id], let access = session.jobs[jobID] else {
        continue
      }
      let usual = job.turnaround.count > 0 ? job.turnaround.sum / job.turnaround.count : 0
      let age = max(configuration.speculationMilliseconds, 2 * usual)
      for (shard, keys) in job.live where keys.count == 1 && !job.speculated.contains(shard) {
        guard let lease = leases[keys[0]], lease.session != id, lease.phase == .granted,
          now.milliseconds(since: lease.grantedAt) >= age || isStalled(lease),
          access.classes[job.pending.stretch(of: shard)] != JobAccess.barred,
          !(job.failures[shard]?.names.contains(session.hello.name) ?? false)
        else { continue }
        if let other = found, (other.grantedAt, other.key.shard) <= (lease.grantedAt, shard) { continue }
        found = lease
      }
      if found != nil { return found }
    }
    return nil
  }

  private func isStalled(_ lease: Lease) -> Bool {
    lease.isRunning && now.milliseconds(since: lease.progressAt) >= configuration.stallMilliseconds
  }
}
