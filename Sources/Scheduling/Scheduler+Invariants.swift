import Wire

extension Scheduler {
  /// What must be true after every event; for tests.
  ///
  /// - Returns: what is not.
  public func checkInvariants() -> [String] {
    var broken: [String] = []
    func expect(_ condition: Bool, _ what: @autoclosure () -> String) {
      if !condition { broken.append(what()) }
    }
    expect(Set(joined) == Set(sessions.keys) && joined.count == sessions.count, "joined lists the sessions")
    expect(Set(order) == Set(jobs.keys) && order.count == jobs.count, "order lists the jobs")
    for (id, session) in sessions {
      let most = configuration.leases(slots: session.hello.slots)
      expect(
        session.held <= most && session.leases.count <= most + configuration.results(slots: session.hello.slots),
        "session \(id) holds \(session.held) of \(session.leases.count) leases")
      expect(
        session.committing == session.leases.count { leases[$0]?.phase == .committing },
        "session \(id) counts the leases whose results are being made safe")
      for key in session.leases { expect(leases[key]?.session == id, "\(key) of session \(id) is a lease of it") }
    }
    for (key, lease) in leases {
      expect(jobs[key.job]?.live[key.shard]?.contains(key) == true, "\(key) is known to its job")
      expect(
        lease.phase == .committing || sessions[lease.session]?.leases.contains(key) == true,
        "\(key) has a living worker or is being made safe")
    }
    for (id, job) in jobs {
      expect(job.doneCount == job.status.count { $0 == .done }, "job \(id) counts what is done")
      expect(
        Set(job.retries.map(\.shard)) == Set(job.status.indices.filter { job.status[$0] == .retrying }),
        "job \(id) lists what is to be tried again")
      expect(job.pending.count == job.pending.stretches.reduce(0) { $0 + $1.freeCount }, "job \(id) counts what waits")
      for (index, stretch) in job.pending.stretches.enumerated() {
        expect(stretch.freeCount == stretch.free.reduce(0) { $0 + $1.count }, "stretch \(index) counts what waits")
        expect(stretch.walkers >= 0, "stretch \(index) has walkers")
        for (one, next) in zip(stretch.free, stretch.free.dropFirst()) {
          expect(one.upperBound < next.lowerBound, "intervals of stretch \(index) are apart")
        }
      }
      let sums = job.sums
      let leased = job.live.keys.filter { $0 >= job.shardCount }.map { $0 - job.shardCount }
      let files = sums.waiting + Array(sums.here) + Array(sums.done) + leased
      expect(Set(files).count == files.count, "job \(id) has each output file in one place")
      expect(
        !sums.hasBegun || job.isStopping || files.count == job.specification.sums, "job \(id) has all output files somewhere")
      for shard in job.status.indices {
        let live = job.live[shard] ?? []
        expect(live.count <= 2, "job \(id) shard \(shard) has \(live.count) leases")
        expect(job.pending.contains(shard) == (job.status[shard] == .pending), "job \(id) shard \(shard) waits")
        expect(
          job.unchecked.contains(shard) == (job.status[shard] == .unchecked && !job.verifying.contains(shard)),
          "job \(id) shard \(shard) waits to be read back")
        switch job.status[shard] {
        case .pending, .retrying, .unchecked: expect(live.isEmpty, "job \(id) shard \(shard) waits without a lease")
        case .leased: expect(!live.isEmpty || job.isStopping, "job \(id) shard \(shard) is leased to someone")
        case .done: break
        }
        for key in live { expect(leases[key] != nil, "\(key) exists") }
      }
    }
    return broken
  }
}
