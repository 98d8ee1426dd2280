import Diagnostics
import Wire

/// The SHA-256 of output files: the last work of a job that wants them. A lease of file n is that of shard
/// `shardCount` + n.
extension Scheduler {
  /// All shards are done, and nobody writes any more.
  mutating func beginSums(of id: JobID) {
    let hasBegun = withJob(id) { job in
      guard job.specification.sums > 0, !job.sums.hasBegun else { return false }
      job.sums.hasBegun = true
      job.sums.waiting = Array(0..<job.specification.sums)
      return true
    }
    guard hasBegun == true else { return }
    note(.summing(id))
    for session in joined { fill(session) }
  }

  /// The next output file for a worker that can read it.
  mutating func pickSum(for id: SessionID, of job: JobID) -> Int? {
    guard sessions[id]?.jobs[job]?.canCheck == true else { return nil }
    let file = withJob(job) { job -> Int? in
      guard !job.isStopping, !job.sums.waiting.isEmpty else { return nil }
      return job.sums.waiting.removeFirst()
    }
    return file ?? nil
  }

  mutating func grantSum(_ file: Int, of job: JobID, to id: SessionID) -> Attempt {
    sumAttempts += 1
    let unit = jobs[job]!.shardCount + file
    let key = Attempt(job: job, shard: unit, attempt: sumAttempts)
    withJob(job) { $0.live[unit, default: []].append(key) }
    sessions[id]!.leases.append(key)
    leases[key] = Lease(key: key, session: id, work: .sum, seq: 0, grantedAt: now, progressAt: now)
    story.add(now, job, unit, "output file \(file) given to \(sessions[id]!.hello.name) to sum")
    return key
  }

  /// A worker has read a file.
  mutating func summed(_ key: Attempt, _ sha256: String?, by id: SessionID) {
    send(.acknowledge(.init([key])), to: id)
    guard let sha256, let file = withJob(key.job, { key.shard - $0.shardCount }) else {
      sessions[id]?.jobs[key.job]?.cannotRead = true
      return end(key, then: .pending)
    }
    withJob(key.job) { job in _ = job.sums.done.insert(file) }
    commands.append(.summed(key.job, file: file, sha256: sha256))
    end(key, then: .done)
    fill(id)
  }

  /// Reads files that no worker can.
  mutating func sumHere() {
    guard grantsAllowed else { return }
    for id in order {
      let isWaiting = withJob(id) { !$0.sums.waiting.isEmpty && !$0.isStopping }
      guard isWaiting == true, !hasChecker(of: id) else { continue }
      let files = withJob(id) { [configuration] job -> [Int] in
        let files = Array(job.sums.waiting.prefix(max(0, configuration.checkLimit - job.sums.here.count)))
        job.sums.waiting.removeFirst(files.count)
        job.sums.here.formUnion(files)
        return files
      }
      for file in files ?? [] { commands.append(.sum(id, file: file)) }
    }
  }

  mutating func summedHere(_ id: JobID, _ file: Int, _ sha256: String?) {
    guard withJob(id, { $0.sums.here.remove(file) }) ?? nil != nil else { return }
    guard let sha256 else {
      withJob(id) { $0.sums.waiting.append(file) }
      return stop(
        id,
        because: Problem(
          .sumFailed, "output file \(file) cannot be read for its SHA-256", remedy: "look at the coordinator's log, and resume the job"))
    }
    withJob(id) { job in _ = job.sums.done.insert(file) }
    commands.append(.summed(id, file: file, sha256: sha256))
  }
}
