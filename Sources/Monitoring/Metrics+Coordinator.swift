import Wire

extension CoordinatorView {
  /// Labels are job numbers and names of workers: as many as there are now.
  public func metrics(_ process: ProcessFigures?) -> String {
    var metrics = Metrics()
    let coordinator = status.coordinator
    metrics.add("expomerge_build_info", .gauge, "Version of expomerge.", [([("version", coordinator.version), ("role", "coordinator")], 1)])
    metrics.add("expomerge_uptime_seconds", .gauge, "Time since the process started.", coordinator.uptimeSeconds)
    metrics.add("expomerge_epoch", .gauge, "Starts of a coordinator with this state.", Double(coordinator.epoch))
    metrics.add("expomerge_ready", .gauge, "1 while work is taken on.", isReady ? 1 : 0)
    metrics.add("expomerge_shards_done_total", .counter, "Shards that were computed and are in the journal.", Double(totals.shards))
    metrics.add("expomerge_output_bytes_total", .counter, "Bytes of output that were computed and are in the journal.", Double(totals.bytes))
    metrics.add("expomerge_shard_failures_total", .counter, "Tries of shards that failed.", Double(totals.failures))
    metrics.add(
      "expomerge_jobs_ended_total", .counter, "Jobs that are over, by their end.",
      ["complete", "failed", "cancelled"].map { ([("state", $0)], Double(totals.jobs[$0] ?? 0)) })
    let states: [Status.JobState] = [.preparing, .running, .finishing]
    metrics.add(
      "expomerge_jobs", .gauge, "Jobs that are not over, by state.",
      states.map { state in ([("state", state.rawValue)], Double(status.jobs.count { $0.state == state })) })
    metrics.add(
      "expomerge_messages_discarded_total", .counter, "Messages that were ignored, by reason.",
      coordinator.discarded.sorted { $0.key < $1.key }.map { ([("reason", $0.key)], Double($0.value)) })
    addJobs(to: &metrics)
    addWorkers(to: &metrics)
    process?.add(to: &metrics)
    return metrics.text
  }

  private func addJobs(to metrics: inout Metrics) {
    func add(_ name: String, _ help: String, _ value: (Status.Job) -> Double?) {
      metrics.add(
        name, .gauge, help,
        status.jobs.filter { !$0.state.isOver }.compactMap { job in value(job).map { ([("job", "\(job.job)")], $0) } })
    }
    add("expomerge_job_size_bytes", "Bytes of output of a job that is not over.") { Double($0.bytes) }
    add("expomerge_job_done_bytes", "Bytes of these that are done.") { Double($0.bytesDone) }
    add("expomerge_job_shards", "Shards of a job that is not over.") { Double($0.shards) }
    add("expomerge_job_done_shards", "Shards of these that are done.") { Double($0.shardsDone) }
    add("expomerge_job_running_shards", "Shards of these that workers have.") { Double($0.shardsRunning) }
    add("expomerge_job_retries", "Tries beyond one a shard.") { Double($0.retries) }
    add("expomerge_job_remaining_seconds", "Time that it will take at the rate of late.") { $0.etaSeconds }
  }

  private func addWorkers(to metrics: inout Metrics) {
    let states: [Status.WorkerState] = [.active, .draining, .setAside]
    metrics.add(
      "expomerge_workers", .gauge, "Workers, by state.",
      states.map { state in ([("state", state.rawValue)], Double(status.workers.count { $0.state == state })) })
    // Two may have the same name.
    let names = Dictionary(grouping: status.workers, by: \.name)
    func add(_ name: String, _ kind: Metrics.Kind, _ help: String, _ value: (Status.Worker) -> Double) {
      metrics.add(name, kind, help, names.sorted { $0.key < $1.key }.map { ([("worker", $0.key)], $0.value.reduce(0) { $0 + value($1) }) })
    }
    add("expomerge_worker_slots", .gauge, "Shards that a worker computes at a time.") { Double($0.slots) }
    add("expomerge_worker_running_shards", .gauge, "Shards that a worker computes now.") { Double($0.running) }
    add("expomerge_worker_queued_shards", .gauge, "Shards that a worker has besides.") { Double($0.queued) }
    add("expomerge_worker_shards_total", .counter, "Shards that a worker has done in its session.") { Double($0.shards) }
    add("expomerge_worker_output_bytes_total", .counter, "Bytes of output that a worker has done in its session.") { Double($0.bytes) }
    add("expomerge_worker_failures_total", .counter, "Shards on which a worker has failed in its session.") { Double($0.failures) }
    add("expomerge_worker_silence_seconds", .gauge, "Time since a worker was heard.") { $0.lastSeenSeconds }
  }
}

extension WorkerView {
  public func metrics(_ process: ProcessFigures?) -> String {
    var metrics = Metrics()
    metrics.add("expomerge_build_info", .gauge, "Version of expomerge.", [([("version", version), ("role", "worker")], 1)])
    metrics.add("expomerge_uptime_seconds", .gauge, "Time since the process started.", uptimeSeconds)
    metrics.add("expomerge_connected", .gauge, "1 while the coordinator is heard.", isConnected ? 1 : 0)
    metrics.add("expomerge_draining", .gauge, "1 while the worker finishes what it has, to end then.", isDraining ? 1 : 0)
    metrics.add("expomerge_slots", .gauge, "Shards that are computed at a time.", Double(slots))
    metrics.add("expomerge_running_shards", .gauge, "Shards that are being computed.", Double(running))
    metrics.add("expomerge_queued_shards", .gauge, "Shards that are held besides.", Double(queued))
    metrics.add("expomerge_shards_done_total", .counter, "Shards that were computed.", Double(shards))
    metrics.add("expomerge_output_bytes_total", .counter, "Bytes of output that were computed.", Double(bytes))
    metrics.add("expomerge_shard_failures_total", .counter, "Shards that could not be computed.", Double(failures))
    process?.add(to: &metrics)
    return metrics.text
  }
}
