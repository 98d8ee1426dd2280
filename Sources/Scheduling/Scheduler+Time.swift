import Diagnostics
import Wire

extension Scheduler {
  mutating func tick() {
    forgiveAbsence()
    revokeStalled()
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

  /// What was not heard while the coordinator itself stood still, suspended or stopped, is no silence. It is always safe
  /// to wait longer.
  private mutating func forgiveAbsence() {
    let gap = now.milliseconds(since: lastTick)
    lastTick = now
    guard gap > 2 * configuration.beatMilliseconds else { return }
    for id in joined {
      guard let heard = sessions[id]?.lastHeard else { continue }
      sessions[id]?.lastHeard = min(now, heard.adding(milliseconds: gap))
    }
  }

  /// An attempt that has made no progress for very long is given up, whatever its worker says.
  private mutating func revokeStalled() {
    let stalled = joined.flatMap { sessions[$0]?.leases ?? [] }.filter { key in
      guard let lease = leases[key], lease.phase == .granted else { return false }
      // Nobody else is given what waits to be read, as a slow shard would be.
      guard lease.isRunning || lease.work != .compute else { return false }
      return now.milliseconds(since: lease.progressAt) >= 2 * configuration.stallMilliseconds
    }
    for key in stalled {
      guard let lease = leases[key], let name = sessions[lease.session]?.hello.name else { continue }
      note(.shardFailed(key, name: name, Problem(.stalled, "no progress for a long time")))
      if lease.work == .compute {
        withJob(key.job) { job in
          job.failures[key.shard, default: Failures()].names.insert(name)
          job.failures[key.shard]?.count += 1
        }
      } else {
        sessions[lease.session]?.jobs[key.job]?.cannotRead = true
      }
      revoke(key)
    }
  }

  /// Gives the slowest shards to workers that have nothing else to do: each shard to one more worker at a time.
  private mutating func speculate() {
    guard grantsAllowed else { return }
    for id in joined {
      guard let session = sessions[id], session.mayWork(at: now), session.held < session.hello.slots else {
        continue
      }
      // Ordinary work comes first.
      fill(id)
      while let session = sessions[id], session.held < session.hello.slots, let slowest = slowest(for: id) {
        jobs[slowest.key.job]?.speculated[slowest.key.shard, default: 0] += 1
        let key = grant(slowest.key.shard, of: slowest.key.job, to: id)
        tell(id, of: [key], by: .grant(.init([key])))
        note(.speculated(key, name: session.hello.name))
      }
    }
  }

  /// A second worker may vanish too, and the first may never end; but no shard is passed round for ever.
  private static let speculationLimit = 3

  /// The lease that has been running for longest, if that is much longer than usual.
  private func slowest(for id: SessionID) -> Lease? {
    var found: Lease?
    for jobID in order {
      guard let job = jobs[jobID], !job.isStopping, let session = sessions[id], let access = session.jobs[jobID] else {
        continue
      }
      let usual = job.turnaround.count > 0 ? job.turnaround.sum / job.turnaround.count : 0
      let age = max(configuration.speculationMilliseconds, 2 * usual)
      for (shard, keys) in job.live where keys.count == 1 && job.speculated[shard, default: 0] < Self.speculationLimit {
        guard let lease = leases[keys[0]], lease.session != id, lease.phase == .granted, lease.work == .compute,
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
    now.milliseconds(since: lease.progressAt) >= configuration.stallMilliseconds
  }
}
