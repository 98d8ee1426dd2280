import Diagnostics
import Wire

extension Scheduler {
  mutating func receive(_ envelope: WorkerEnvelope, from route: Route) {
    let id = envelope.session
    if let session = sessions[id] {
      // Whoever has said hello has the session, and nobody else.
      guard session.route.user == route.user else { return discard("other-key") }
      guard !session.isExpelled else { return discard("revoked-key") }
    }
    if case .hello(let hello) = envelope.message { return welcome(id, hello, route) }
    guard envelope.epoch == epoch, sessions[id] != nil else {
      discard("unknown-session")
      // A goodbye needs no answer.
      if case .goodbye = envelope.message { return }
      return reject(id, .session, "the session is over", route)
    }
    sessions[id]?.lastHeard = now
    sessions[id]?.route = route
    switch envelope.message {
    case .hello: break
    case .beat(let beat): reconcile(beat, of: id)
    case .prepared(let prepared): self.prepared(prepared, by: id)
    case .finished(let finished): self.finished(finished, by: id)
    case .failed(let failed): self.failed(failed, by: id)
    case .goodbye(let goodbye):
      if let session = sessions[id] {
        note(.workerLeft(id, name: session.hello.name, reason: goodbye.reason))
      }
      // It has said that it stopped, so what it held is no death.
      remove(id, died: false)
    }
  }

  /// Answers a message that belongs to no session.
  mutating func reject(
    _ id: SessionID, _ reason: CoordinatorMessage.Rejected.Reason, _ message: String, _ route: Route
  ) {
    let envelope = CoordinatorEnvelope(
      session: id, epoch: epoch, seq: 0, heard: 0, message: .rejected(.init(reason, message)))
    commands.append(.send(envelope, to: route))
  }

  private mutating func welcome(_ id: SessionID, _ hello: WorkerMessage.Hello, _ route: Route) {
    if sessions[id] == nil {
      if let reason = tooMany(route.user) {
        discard("too-many-sessions")
        // Not for the key's sake; but this is what sends a worker away until later.
        return reject(id, .key, reason, route)
      }
      sessions[id] = Session(id: id, route: route, hello: hello, lastHeard: now)
      joined.append(id)
      countSlots()
      note(.workerJoined(id, name: hello.name))
    }
    sessions[id]?.lastHeard = now
    sessions[id]?.route = route
    send(
      .welcome(
        .init(
          beatMilliseconds: configuration.beatMilliseconds, leaseMilliseconds: configuration.leaseMilliseconds,
          dataPort: configuration.dataPort, window: configuration.window)), to: id)
    offerJobs(to: id)
  }

  /// Why nobody else with the key can join now; nil where somebody can.
  private func tooMany(_ user: String?) -> String? {
    guard joined.count < configuration.sessionLimit else { return "there are \(joined.count) workers, and no more are taken" }
    // Below that nobody needs to count.
    guard user != nil, joined.count >= configuration.keySessionLimit else { return nil }
    let count = joined.count { sessions[$0]?.route.user == user }
    return count < configuration.keySessionLimit ? nil : "\(count) workers have this key, and no more are taken"
  }

  /// Offers the jobs that the worker has not answered, or has refused for a reason that may pass.
  private mutating func offerJobs(to id: SessionID) {
    guard let session = sessions[id], !session.isDraining, !session.isExpelled else { return }
    for job in order {
      let answer = session.jobs[job]?.prepared
      guard answer?.mayBeTakenBack ?? true else { continue }
      let pause = answer == nil ? configuration.offerMilliseconds : configuration.secondLookMilliseconds
      if let last = session.offered[job]?.last, now < last.adding(milliseconds: pause) { continue }
      guard let offer = jobs[job]?.offer, jobs[job]?.isStopping == false else { continue }
      sessions[id]?.offered[job] = .init(first: session.offered[job]?.first ?? now, last: now)
      send(.job(offer), to: id)
    }
  }

  mutating func offer(_ job: JobID) {
    for id in joined { offerJobs(to: id) }
  }

  private mutating func prepared(_ prepared: WorkerMessage.Prepared, by id: SessionID) {
    guard let job = jobs[prepared.job], let session = sessions[id] else {
      discard("unknown-job")
      send(.forget(.init(job: prepared.job)), to: id)
      return
    }
    guard session.jobs[prepared.job]?.prepared.mayBeTakenBack ?? true else { return discard("repeated") }
    let prepared = prepared.bounded
    let offer = job.offer
    guard prepared.refusal != nil
      || prepared.aligned.count == offer.aligned.files.count && prepared.sft.count == offer.sft.files.count
    else { return discard("malformed") }
    let access = access(prepared, to: job, barred: [])
    sessions[id]?.jobs[prepared.job] = access
    note(.workerPrepared(id, name: session.hello.name, prepared))
    fill(id)
  }

  func access(
    _ prepared: WorkerMessage.Prepared, to job: Job, barred: Set<WorkerMessage.Failed.Input>
  ) -> JobAccess {
    let classes = job.specification.stretches.map { stretch -> UInt8 in
      if prepared.refusal != nil || stretch.inputs.contains(where: barred.contains) { return JobAccess.barred }
      let streamed = stretch.inputs.count { prepared[$0.side][$0.file] == .streamed }
      return UInt8(min(streamed + (job.writes && prepared.output == .streamed ? 1 : 0), 200))
    }
    let preferred = classes.indices.filter { classes[$0] != JobAccess.barred }
      .sorted { (classes[$0], $0) < (classes[$1], $1) }
    return JobAccess(
      prepared: prepared, classes: classes, preferred: preferred,
      leastClass: preferred.first.map { classes[$0] } ?? JobAccess.barred, barredInputs: barred)
  }

  /// Compares what the worker holds with what it should hold.
  private mutating func reconcile(_ beat: WorkerMessage.Beat, of id: SessionID) {
    guard var session = sessions[id] else { return }
    guard beat.number > session.heard else { return discard("late-beat") }
    session.heard = beat.number
    let wasDraining = session.isDraining
    if beat.isDraining { session.isDraining = true }
    sessions[id] = session
    if session.isDraining != wasDraining { countSlots() }

    var unknown: [Attempt] = []
    for held in beat.held {
      guard var lease = leases[held.key], lease.session == id, lease.phase != .revoked else {
        unknown.append(held.key)
        continue
      }
      if held.progress > lease.progress || held.isRunning && !lease.isRunning {
        lease.progress = held.progress
        lease.progressAt = now
      }
      lease.isRunning = held.isRunning
      leases[held.key] = lease
    }
    let held = Set(beat.held.map(\.key))
    for key in session.leases where !held.contains(key) {
      guard let lease = leases[key], lease.seq <= beat.seen, lease.phase != .committing else { continue }
      // The grant was lost, or the worker gave it back: it will not be worked on.
      story.add(now, key.job, key.shard, "attempt \(key.attempt) not held by \(session.hello.name)")
      end(key, then: .pending)
    }
    if !unknown.isEmpty { send(.revoke(.init(unknown)), to: id) }
    for job in beat.jobs where jobs[job] == nil || jobs[job]?.isStopping == true {
      send(.forget(.init(job: job)), to: id)
    }
    if session.drainRequest.map({ $0 <= beat.seen }) == true && !beat.isDraining { requestDrain(id) }
    offerJobs(to: id)
    // The answer tells the worker which of its beats have arrived.
    send(.beat(.init()), to: id)
    fill(id)
  }

  // MARK: leaving

  mutating func drain(_ id: SessionID) {
    guard sessions[id] != nil else { return }
    sessions[id]?.isDraining = true
    countSlots()
    requestDrain(id)
  }

  private mutating func requestDrain(_ id: SessionID) {
    let seq = send(.drain(.init()), to: id)
    sessions[id]?.drainRequest = seq
  }

  /// Ends the sessions of users, in the way of a worker that has died: it may go on writing until its fence, and whether it
  /// believes what it is told is not known.
  mutating func expel(_ users: Set<String>) {
    for id in joined {
      guard let session = sessions[id], !session.isExpelled, let user = session.route.user, users.contains(user) else { continue }
      reject(id, .key, "this worker's key is not authorized any more", session.route)
      sessions[id]?.isExpelled = true
      note(.workerExpelled(id, name: session.hello.name))
    }
    countSlots()
  }

  /// Ends a session and all its leases.
  ///
  /// - Parameter died: whether what it was running may be the reason.
  mutating func remove(_ id: SessionID, died: Bool) {
    guard let session = sessions[id] else { return }
    for key in session.leases {
      guard let lease = leases[key] else { continue }
      // What is being made safe counts, wherever the worker is now.
      if lease.phase == .committing { continue }
      let computed = died && lease.work == .compute
      if computed && jobs[key.job]?.writes == true { jobs[key.job]?.contested.insert(key.shard) }
      end(key, then: .pending)
      // Being shown the door is no fault of the shard.
      if computed && lease.isRunning && lease.phase == .granted && !session.isExpelled { recordDeath(key, of: session.hello.name) }
    }
    for (job, access) in session.jobs { jobs[job]?.pending.addWalker(at: access.cursor, -1) }
    sessions[id] = nil
    joined.removeAll { $0 == id }
    countSlots()
  }

  mutating func countSlots() {
    slotTotal = joined.reduce(0) { sum, id in
      guard let session = sessions[id], session.mayWork(at: now) else { return sum }
      return sum + session.hello.slots
    }
  }
}
