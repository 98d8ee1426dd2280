import Scheduling
import Testing
import Wire

extension SchedulerTests {
  // MARK: beats

  @Test("a beat with an older number is ignored")
  func olderBeat() {
    var driver = SchedulerDriver()
    driver.add(files: [1])
    driver.join("a")
    driver.beat("a")
    driver.beat("a")
    driver.peers["a"]!.number = 0
    driver.beat("a", held: [])
    #expect(driver.scheduler.discarded == ["late-beat": 1])
    #expect(driver.scheduler.holder(of: Attempt(shard: 0)) != nil)
    #expect(driver.peers["a"]!.held.count == 1)
  }

  @Test("every beat is answered with its number")
  func answeredBeat() {
    var driver = SchedulerDriver()
    driver.join("a")
    for number in 1...3 {
      let heard = driver.beat("a").compactMap { if case .send(let envelope, _) = $0 { envelope.heard } else { nil } }
      #expect(heard == [number])
    }
  }

  @Test("a lost grant is given back by a beat that has seen a message behind it, not before")
  func lostGrant() throws {
    var driver = SchedulerDriver()
    driver.add(files: [1])
    driver.join("a")
    driver.join("b")
    driver.peers["a"]!.isDeaf = true
    let grants = driver.log.compactMap { command -> Int? in
      if case .send(let envelope, _) = command, case .grant = envelope.message { envelope.seq } else { nil }
    }
    let seq = try #require(grants.first)
    driver.beat("a", held: [], seen: seq - 1)
    #expect(driver.scheduler.holder(of: Attempt(shard: 0)) == driver.peers["a"]!.session)
    driver.beat("a", held: [], seen: seq)
    #expect(driver.scheduler.holder(of: Attempt(shard: 0)) == nil)
    // The beat that gave it back asked for work, too.
    #expect(driver.scheduler.job(JobID(1))?.retries == 1)
  }

  @Test("what a worker holds without a lease is revoked, beat after beat")
  func unknownLease() {
    var driver = SchedulerDriver()
    driver.add(files: [1])
    driver.join("a")
    let strange = Attempt(shard: 0, attempt: 5)
    for _ in 0..<2 {
      driver.peers["a"]!.received = []
      driver.beat("a", held: [Attempt(shard: 0), strange])
      #expect(driver.messages("a").first == .revoke(.init([strange])))
    }
    #expect(driver.scheduler.holder(of: Attempt(shard: 0)) != nil)
  }

  @Test("jobs that are over are forgotten again by workers that still list them")
  func forgottenJob() {
    var driver = SchedulerDriver()
    driver.join("a")
    driver.peers["a"]!.jobs = [JobID(5)]
    driver.beat("a")
    #expect(driver.messages("a").contains(.forget(.init(job: JobID(5)))))
  }

  @Test("an offer that is not answered is repeated, not with every beat")
  func repeatedOffer() {
    var driver = SchedulerDriver()
    driver.join("a", isDeaf: true)
    driver.add()
    func offers() -> Int {
      driver.log.count {
        if case .send(let envelope, _) = $0, case .job = envelope.message { true } else { false }
      }
    }
    #expect(offers() == 1)
    driver.pass(milliseconds: 4000)
    #expect(offers() == 1)
    driver.pass(milliseconds: 2000)
    #expect(offers() == 2)
  }

  @Test("a worker that takes no grant for 100,000 beats does no harm")
  func manyAttempts() {
    var driver = SchedulerDriver()
    driver.add(files: [1])
    driver.join("a", isDeaf: true)
    driver.say(.prepared(SchedulerDriver.access(to: JobID(1))), as: "a")
    let session = driver.peers["a"]!.session
    for number in 1...100_000 {
      let beat = WorkerMessage.Beat(number: number, seen: .max, isDraining: false, jobs: [JobID(1)], held: [])
      let envelope = WorkerEnvelope(session: session, epoch: SchedulerDriver.epoch, message: .beat(beat))
      _ = driver.scheduler.handle(.received(envelope, from: Route([97])), at: driver.now)
    }
    #expect(driver.scheduler.holder(of: Attempt(shard: 0, attempt: 100_001)) == session)
  }

  // MARK: draining

  @Test("a draining worker gives back what it has not begun, keeps what runs, and gets nothing new")
  func drain() {
    var driver = SchedulerDriver()
    driver.add(files: [10])
    driver.join("a")
    driver.join("b")
    driver.handle(.drain(driver.peers["a"]!.session))
    #expect(driver.messages("a").contains(.drain(.init())))
    driver.peers["a"]!.isDraining = true
    let first = driver.held("a")[0]
    driver.peers["a"]!.held = [first]
    driver.beat("a")
    #expect(driver.scheduler.job(JobID(1))?.leased == 1 + driver.held("b").count)
    driver.complete("a", first)
    #expect(driver.held("a").isEmpty)
    driver.pass(milliseconds: 3000)
    #expect(driver.held("a").isEmpty)
    #expect(driver.messages("a").acknowledged == [first])
    driver.work()
    #expect(driver.messages("b").granted.count == 9)
  }

  @Test("a drain that was lost is said again")
  func lostDrain() {
    var driver = SchedulerDriver()
    driver.join("a")
    driver.handle(.drain(driver.peers["a"]!.session))
    driver.peers["a"]!.received = []
    driver.beat("a")
    #expect(driver.messages("a").contains(.drain(.init())))
    driver.peers["a"]!.isDraining = true
    driver.peers["a"]!.received = []
    driver.beat("a")
    #expect(driver.messages("a") == [.beat(.init())])
  }
}
