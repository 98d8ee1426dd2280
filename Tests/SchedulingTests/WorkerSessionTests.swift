import Diagnostics
import Scheduling
import Testing
import Wire

/// The worker's side of the protocol.
@Suite("Worker session")
struct WorkerSessionTests {
  // MARK: reaching the coordinator

  @Test("a worker connects and says hello, without an epoch")
  func hello() {
    var driver = WorkerDriver()
    let commands = driver.tick()
    #expect(commands.connections == [driver.session.session])
    #expect(commands.last == .send(.init(
      session: driver.session.session, epoch: 0, message: .hello(driver.session.configuration.hello))))
    #expect(!driver.session.isActive)
  }

  @Test("a hello that is not answered is said again, in a new session, after waits that grow")
  func greeting() {
    var driver = WorkerDriver()
    driver.tick()
    driver.pass(milliseconds: 2750)
    #expect(driver.log.connections.count == 1)
    driver.pass(milliseconds: 200_000)
    let waits = driver.log.compactMap { if case .note(.sessionOver(_, let wait)) = $0 { wait } else { nil } }
    #expect(waits.count > 10)
    for (attempt, wait) in waits.enumerated() {
      let longest = min(500 << attempt, 10_000)
      #expect((longest / 2...longest).contains(wait))
    }
    #expect(Set(driver.log.connections).count == driver.log.connections.count)
    #expect(driver.log.sent.count == driver.log.connections.count)
  }

  @Test("who turns a worker away is not asked again at once, but after the same waits that grow")
  func turnedAway() {
    var driver = WorkerDriver()
    driver.tick()
    var waits: [Int] = []
    for attempt in 1...20 {
      let commands = driver.handle(.turnedAway("wrong key"))
      #expect(commands.contains(.disconnect) && commands.connections.isEmpty)
      waits += commands.compactMap { if case .note(.sessionOver("wrong key", let wait)) = $0 { wait } else { nil } }
      // It is gone from there, and whatever comes of it later is ignored.
      #expect(driver.handle(.turnedAway("wrong key")).isEmpty)
      while driver.log.connections.count <= attempt { driver.pass(milliseconds: 250) }
    }
    for (attempt, wait) in waits.enumerated() { #expect(wait >= min(250 << attempt, 5000)) }
    #expect(waits.count == 20)
    driver.welcome()
    #expect(driver.session.isActive)
    #expect(driver.handle(.turnedAway("a connection beside")).isEmpty && driver.session.isActive)
  }

  @Test("a job whose data could not be had is looked at again when it is offered again; other answers are said again")
  func lookingAgain() {
    var driver = WorkerDriver()
    driver.tick()
    driver.welcome()
    let unreachable = WorkerMessage.Prepared(job: JobID(1), refusal: .init(Problem(.dataUnreachable, "nothing comes")))
    let final = WorkerMessage.Prepared(job: JobID(2), refusal: .init(Problem(.init("plan-differs"), "another version")))
    for answer in [unreachable, final] {
      driver.hear(.job(WorkerDriver.offer(answer.job.number)))
      driver.handle(.prepared(answer))
    }
    func looks() -> [Int] { driver.log.compactMap { if case .prepare(let offer) = $0 { offer.job.number } else { nil } } }
    func said(_ commands: [WorkerSession.Command]) -> [WorkerMessage.Prepared] {
      commands.compactMap { if case .send(let envelope) = $0, case .prepared(let prepared) = envelope.message { prepared } else { nil } }
    }
    #expect(looks() == [1, 2])
    #expect(said(driver.hear(.job(WorkerDriver.offer(2)))) == [final])
    #expect(said(driver.hear(.job(WorkerDriver.offer(1)))) == [] && driver.session.isLooking(at: JobID(1)))
    // While it looks, an offer changes nothing.
    driver.hear(.job(WorkerDriver.offer(1)))
    #expect(looks() == [1, 2, 1])
    #expect(said(driver.handle(.prepared(unreachable))) == [unreachable])
    driver.hear(.job(WorkerDriver.offer(1)))
    #expect(looks() == [1, 2, 1, 1])
    let answer = WorkerDriver.prepared(1)
    #expect(said(driver.handle(.prepared(answer))) == [answer])
    #expect(said(driver.hear(.job(WorkerDriver.offer(1)))) == [answer])
    #expect(looks() == [1, 2, 1, 1])
  }

  @Test("a worker that may ends when it has had nothing to do for long, coordinator or none", arguments: [true, false])
  func idle(isActive: Bool) {
    var driver = isActive ? .active(idleMilliseconds: 60_000) : WorkerDriver(idleMilliseconds: 60_000)
    driver.pass(milliseconds: 59_000)
    #expect(!driver.log.contains(.end(.drained)))
    driver.pass(milliseconds: 2000)
    #expect(driver.log.contains(.end(.drained)))
  }

  @Test("a lease keeps it busy, however long it takes, and the time counts from its end")
  func busy() {
    var driver = WorkerDriver.active(idleMilliseconds: 60_000)
    let key = Attempt(shard: 0)
    driver.hear(.grant(.init([key])))
    driver.pass(milliseconds: 300_000)
    #expect(!driver.log.contains(.end(.drained)))
    driver.hear(.revoke(.init([key])))
    driver.handle(.left(driver.log.staged[0]))
    driver.pass(milliseconds: 59_000)
    #expect(!driver.log.contains(.end(.drained)))
    driver.pass(milliseconds: 2000)
    #expect(driver.log.contains(.end(.drained)))
  }

  @Test("workers that lost one coordinator do not come back at the same moment")
  func jitter() {
    let waits = (UInt64(0)..<50).map { seed in
      var driver = WorkerDriver(seed: seed)
      driver.tick()
      driver.welcome()
      driver.pass(milliseconds: 5000, answering: false)
      return driver.log.compactMap { if case .note(.sessionOver(_, let wait)) = $0 { wait } else { nil } }
    }
    #expect(waits.allSatisfy { $0.count == 1 })
    #expect(Set(waits).count > 25)
  }

  @Test("a welcome begins the session, and the waits begin anew with the next")
  func welcome() {
    var driver = WorkerDriver()
    driver.tick()
    driver.pass(milliseconds: 60_000)
    for _ in 0..<100 where driver.log.last?.isHello != true { driver.pass(milliseconds: 250) }
    let commands = driver.welcome()
    #expect(driver.session.isActive)
    #expect(driver.session.epoch == WorkerDriver.epoch)
    #expect(commands.contains(.note(.welcomed(epoch: WorkerDriver.epoch))))
    // The beat tells the coordinator that the welcome has come.
    #expect(commands.beats.map(\.number) == [1] && commands.beats[0].seen == 1)
    driver.pass(milliseconds: 5000, answering: false)
    let waits = driver.log.compactMap { if case .note(.sessionOver(_, let wait)) = $0 { wait } else { nil } }
    #expect((125...250).contains(waits.last ?? 0))
  }

  @Test("a welcome of an earlier session is ignored")
  func lateWelcome() {
    var driver = WorkerDriver()
    driver.tick()
    let earlier = driver.session.session
    driver.pass(milliseconds: 3750)
    #expect(driver.session.session != earlier)
    driver.hear(.welcome(.init(beatMilliseconds: 1, leaseMilliseconds: 1, dataPort: 0, window: 4 << 20)), session: earlier)
    #expect(!driver.session.isActive)
    #expect(driver.session.discarded == ["other-session": 1])
  }

  @Test("a worker of another protocol version is told so and ends", arguments: [SessionID(0), nil])
  func version(session: SessionID?) {
    var driver = WorkerDriver()
    driver.tick()
    // The coordinator may not have been able to read which session it was.
    let commands = driver.hear(.rejected(.init(.version, "speaks 2")), seq: 0, epoch: 9, session: session)
    #expect(commands == [.disconnect, .end(.rejected("speaks 2"))])
    #expect(driver.welcome().isEmpty)
    #expect(driver.tick().isEmpty)
  }

  @Test("once welcomed, no stray rejection of a version ends a worker")
  func strayVersion() {
    var driver = WorkerDriver.active()
    #expect(driver.hear(.rejected(.init(.version, "?")), session: SessionID(0)).isEmpty)
    #expect(driver.session.isActive)
  }

  @Test("a session that the coordinator does not know is ended, and another begun")
  func rejectedSession() {
    var driver = WorkerDriver.active()
    let task = driver.grant(0)[0]
    let session = driver.session.session
    let commands = driver.hear(.rejected(.init(.session, "the session is over")), seq: 0, epoch: 4)
    #expect(commands.abandoned == [task])
    #expect(commands.contains(.forget(JobID(1))) && commands.contains(.disconnect))
    #expect(!driver.session.isActive)
    driver.pass(milliseconds: 500)
    #expect(driver.log.connections.count == 1 && driver.session.session != session)
  }

  @Test("a worker whose key may not work says so, stops, and asks again later", arguments: [true, false])
  func rejectedKey(isActive: Bool) {
    var driver = isActive ? WorkerDriver.active() : WorkerDriver()
    if !isActive { driver.tick() }
    let commands = driver.hear(.rejected(.init(.key, "a viewer's")), seq: 0, epoch: 4)
    #expect(commands.contains(.note(.refused("a viewer's"))) && commands.contains(.disconnect))
    #expect(!driver.session.isActive)
    driver.pass(milliseconds: 500)
    #expect(driver.log.connections.count == (isActive ? 1 : 2))
  }

  @Test("the rejection of another session is ignored")
  func rejectedOtherSession() {
    var driver = WorkerDriver.active()
    driver.hear(.rejected(.init(.session, "")), session: SessionID(5))
    #expect(driver.session.isActive)
  }

  // MARK: beats and fences

  @Test("it beats as often as the welcome says", arguments: [250, 1000, 2500])
  func beats(milliseconds: Int) {
    var driver = WorkerDriver()
    driver.tick()
    driver.welcome(beat: milliseconds, lease: 5 * milliseconds)
    driver.pass(milliseconds: 20 * milliseconds)
    #expect(driver.log.beats.map(\.number) == Array(1...21))
  }

  @Test("the first fence is the lease time after the hello was sent")
  func firstFence() {
    var driver = WorkerDriver()
    driver.tick()
    let hello = driver.now
    driver.pass(milliseconds: 2000)
    #expect(driver.welcome(lease: 7000).fences == [hello.adding(milliseconds: 7000)])
  }

  @Test("the fence moves to the lease time after the sending of the beat that was heard")
  func fence() {
    var driver = WorkerDriver.active()
    // The first beat was sent at once.
    let start = driver.now
    driver.pass(milliseconds: 3000, answering: false)
    #expect(driver.log.beats.map(\.number) == [2, 3, 4])
    #expect(driver.hear(.beat(.init()), heard: 1).fences.isEmpty, "the fence was there already")
    #expect(driver.hear(.beat(.init()), heard: 3).fences == [start.adding(milliseconds: 2000 + 5000)])
    #expect(driver.hear(.beat(.init()), heard: 3).fences.isEmpty)
    #expect(driver.hear(.beat(.init()), heard: 2).fences.isEmpty)
    #expect(driver.session.fence == start.adding(milliseconds: 7000))
  }

  @Test("a late message moves no fence")
  func lateFence() {
    var driver = WorkerDriver.active()
    driver.pass(milliseconds: 1000, answering: false)
    #expect(driver.hear(.beat(.init()), heard: 2, seq: 1).isEmpty)
    #expect(driver.session.discarded == ["late-message": 1])
  }

  @Test("a worker that is heard no more stops at its fence, though it hears the coordinator")
  func oneWayPartition() {
    var driver = WorkerDriver.active()
    let task = driver.grant(0)[0]
    let fence = driver.session.fence
    while driver.now < fence {
      #expect(driver.log.abandoned.isEmpty)
      driver.hear(.beat(.init()), heard: 1)
      driver.pass(milliseconds: 250, answering: false)
    }
    #expect(driver.now == fence)
    #expect(driver.log.abandoned == [task])
    #expect(driver.log.contains(.disconnect))
    #expect(!driver.session.isActive)
  }

  @Test("a worker that hears nothing stops at its fence")
  func silence() {
    var driver = WorkerDriver.active()
    let task = driver.grant(0)[0]
    driver.pass(milliseconds: 4750, answering: false)
    #expect(driver.session.isActive)
    driver.pass(milliseconds: 250, answering: false)
    #expect(!driver.session.isActive)
    #expect(driver.log.abandoned == [task])
  }

  @Test("as long as beats are answered, the fence stays ahead")
  func longSession() {
    var driver = WorkerDriver.active()
    driver.pass(milliseconds: 600_000)
    #expect(driver.session.isActive)
    #expect(driver.session.fence.milliseconds(since: driver.now) >= 4000)
  }

  // MARK: messages

  @Test("messages that are older than one already seen are ignored")
  func oldMessages() {
    var driver = WorkerDriver.active()
    driver.hear(.beat(.init()), seq: 20)
    #expect(driver.hear(.grant(.init([Attempt(shard: 0)])), seq: 19).isEmpty)
    #expect(driver.hear(.grant(.init([Attempt(shard: 0)])), seq: 20).isEmpty)
    #expect(driver.session.discarded == ["late-message": 2])
    #expect(driver.hear(.grant(.init([Attempt(shard: 0)])), seq: 21).staged.count == 1)
  }

  @Test("messages of another epoch or session are ignored")
  func otherOrigin() {
    var driver = WorkerDriver.active()
    #expect(driver.hear(.grant(.init([Attempt(shard: 0)])), epoch: WorkerDriver.epoch + 1).isEmpty)
    #expect(driver.hear(.grant(.init([Attempt(shard: 0)])), session: SessionID(5)).isEmpty)
    #expect(driver.session.discarded == ["other-epoch": 1, "other-session": 1])
    #expect(driver.session.taskCount == 0)
  }

  // MARK: jobs

  @Test("an offer is looked at once, and answered again when it comes again")
  func offers() {
    var driver = WorkerDriver.active()
    #expect(driver.hear(.job(WorkerDriver.offer(2))) == [.prepare(WorkerDriver.offer(2))])
    #expect(driver.hear(.job(WorkerDriver.offer(2))).isEmpty)
    #expect(driver.handle(.prepared(WorkerDriver.prepared(2))).sent == [.prepared(WorkerDriver.prepared(2))])
    #expect(driver.hear(.job(WorkerDriver.offer(2))).sent == [.prepared(WorkerDriver.prepared(2))])
    driver.pass(milliseconds: 1000)
    #expect(driver.log.beats.last?.jobs == [JobID(1), JobID(2)])
  }

  @Test("a job that was looked at for an earlier session is not answered in the next")
  func lateAnswer() {
    var driver = WorkerDriver.active()
    driver.hear(.job(WorkerDriver.offer(2)))
    driver.hear(.rejected(.init(.session, "")))
    driver.pass(milliseconds: 500)
    driver.welcome()
    #expect(driver.handle(.prepared(WorkerDriver.prepared(2))).isEmpty)
    #expect(driver.session.discarded == ["unasked-answer": 1])
  }

  @Test("a job that is over is forgotten with its tasks, and no other")
  func forget() {
    var driver = WorkerDriver.active(slots: 2)
    driver.offer(2)
    let task = driver.grant(0)[0]
    driver.hear(.grant(.init([Attempt(job: JobID(2), shard: 0, attempt: 1)])))
    let commands = driver.hear(.forget(.init(job: JobID(1))))
    #expect(commands == [.abandon(task), .forget(JobID(1))])
    driver.pass(milliseconds: 1000)
    #expect(driver.log.beats.last?.jobs == [JobID(2)])
    #expect(driver.held == [Attempt(job: JobID(2), shard: 0, attempt: 1)])
  }
}

extension WorkerSession.Command {
  var isHello: Bool {
    if case .send(let envelope) = self, case .hello = envelope.message { return true }
    return false
  }
}
