import Scheduling
import Testing
import Wire

extension SchedulerTests {
  // MARK: silence

  @Test("a shard whose worker dies is leased again")
  func silence() {
    var driver = SchedulerDriver { $0.speculationMilliseconds = .max }
    driver.join("a")
    driver.join("b")
    driver.add(files: [2])
    driver.pass(milliseconds: 1000)
    driver.peers["a"]!.beats = false
    driver.complete("b", Attempt(shard: 1))
    driver.pass(milliseconds: 4750)
    #expect(driver.held("b").isEmpty)
    driver.pass(milliseconds: 250)
    #expect(driver.held("b") == [Attempt(shard: 0, attempt: 2)])
    #expect(!driver.scheduler.hasSession(driver.peers["a"]!.session))
    #expect(driver.notes.contains(.workerLost(driver.peers["a"]!.session, name: "a", leases: 1)))
  }

  @Test("a session lives for the lease time after its last message, and no longer")
  func leaseTime() {
    var driver = SchedulerDriver()
    driver.add(files: [1])
    driver.join("a")
    driver.peers["a"]!.beats = false
    driver.pass(milliseconds: 4750)
    #expect(driver.scheduler.holder(of: Attempt(shard: 0)) == driver.peers["a"]!.session)
    driver.pass(milliseconds: 250)
    #expect(driver.scheduler.holder(of: Attempt(shard: 0)) == nil)
    driver.join("b")
    #expect(driver.held("b") == [Attempt(shard: 0, attempt: 2)])
  }

  @Test("any message of a worker keeps its session alive")
  func anyMessage() {
    var driver = SchedulerDriver()
    driver.add(files: [1])
    driver.join("a")
    driver.peers["a"]!.beats = false
    for _ in 0..<5 {
      driver.pass(milliseconds: 3000)
      driver.say(.prepared(SchedulerDriver.access(to: JobID(1))), as: "a")
    }
    #expect(driver.scheduler.hasSession(driver.peers["a"]!.session))
  }

  @Test("a worker that says goodbye is no death: its leases are granted again, and nothing is read back")
  func goodbye() {
    var driver = SchedulerDriver()
    driver.add(files: [1])
    driver.join("a")
    driver.beat("a")
    driver.say(.goodbye(.init(reason: "maintenance")), as: "a")
    #expect(driver.notes.contains(.workerLeft(driver.peers["a"]!.session, name: "a", reason: "maintenance")))
    driver.join("b")
    driver.complete("b", Attempt(shard: 0, attempt: 2))
    #expect(driver.doneJobs == [JobID(1)])
    #expect(driver.verifications.isEmpty)
  }

  // MARK: what does not belong

  @Test("a message of an unknown session is answered with a rejection")
  func unknownSession() {
    var driver = SchedulerDriver()
    driver.add()
    driver.join("a")
    driver.peers["b"] = .init(
      session: SessionID(99), name: "b", slots: 1, prepared: { SchedulerDriver.access(to: $0) })
    driver.beat("b")
    #expect(driver.messages("b") == [.rejected(.init(.session, "the session is over"))])
    #expect(!driver.scheduler.hasSession(SessionID(99)))
    #expect(driver.scheduler.discarded == ["unknown-session": 1])
  }

  @Test("a goodbye of an unknown session needs no answer")
  func unknownGoodbye() {
    var driver = SchedulerDriver()
    driver.peers["b"] = .init(
      session: SessionID(99), name: "b", slots: 1, prepared: { SchedulerDriver.access(to: $0) })
    #expect(driver.say(.goodbye(.init(reason: "")), as: "b").isEmpty)
  }

  @Test("a message of another epoch is rejected and has no effect", arguments: [0, 6, 8])
  func otherEpoch(epoch: Int) {
    var driver = SchedulerDriver()
    driver.add(files: [1])
    driver.join("a")
    let key = driver.held("a")[0]
    let result = WorkerMessage.Finished(key, digests: [SchedulerDriver.digest(0)], milliseconds: 1, segments: [])
    let commands = driver.say(.finished(result), as: "a", epoch: epoch)
    #expect(commands.count == 1)
    #expect(driver.messages("a").last == .rejected(.init(.session, "the session is over")))
    #expect(driver.scheduler.holder(of: key) != nil)
  }

  @Test("a hello that comes twice is welcomed twice, and is one worker")
  func helloTwice() {
    var driver = SchedulerDriver()
    driver.add(files: [100])
    driver.join("a")
    let hello = WorkerMessage.Hello(name: "a", host: "node", process: 1, slots: 1, version: "0", level: "portable")
    driver.say(.hello(hello), as: "a", epoch: 0)
    #expect(driver.scheduler.workers(at: driver.now).count == 1)
    #expect(driver.messages("a").count { if case .welcome = $0 { true } else { false } } == 2)
    #expect(driver.held("a").count == 3)
  }

  // MARK: late and repeated results

  @Test("a result that comes after its lease is over is revoked, not committed")
  func lateResult() {
    var driver = SchedulerDriver()
    driver.add(files: [1])
    driver.join("a")
    driver.join("b")
    // The worker gave it back.
    driver.beat("a", held: [])
    #expect(driver.scheduler.holder(of: Attempt(shard: 0)) == nil)
    driver.peers["a"]!.received = []
    let commands = driver.finish("a", Attempt(shard: 0))
    #expect(driver.messages("a") == [.revoke(.init([Attempt(shard: 0)]))])
    #expect(!commands.contains { if case .commit = $0 { true } else { false } })
    #expect(driver.scheduler.discarded["late-result"] == 1)
  }

  @Test("a result of another worker's lease is revoked, not committed")
  func foreignResult() {
    var driver = SchedulerDriver()
    driver.add(files: [1])
    driver.join("a")
    driver.join("b")
    driver.finish("b", Attempt(shard: 0))
    #expect(driver.messages("b").last == .revoke(.init([Attempt(shard: 0)])))
    #expect(driver.scheduler.holder(of: Attempt(shard: 0)) == driver.peers["a"]!.session)
  }

  @Test("a result of a shard or job that does not exist is revoked", arguments: [
    Attempt(shard: 10), Attempt(shard: -1), Attempt(shard: .max), Attempt(job: JobID(-5), shard: 0, attempt: 1),
  ])
  func impossibleResult(key: Attempt) {
    var driver = SchedulerDriver()
    driver.add(files: [10])
    driver.join("a")
    driver.finish("a", key)
    #expect(driver.messages("a").last == .revoke(.init([key])))
    #expect(driver.scheduler.discarded == ["unknown-job": 1])
  }

  @Test("a repeated result is acknowledged again")
  func repeatedResult() {
    var driver = SchedulerDriver()
    driver.add(files: [100])
    driver.join("a")
    driver.complete("a", Attempt(shard: 0))
    driver.peers["a"]!.received = []
    driver.finish("a", Attempt(shard: 0))
    #expect(driver.messages("a") == [.acknowledge(.init([Attempt(shard: 0)]))])
    #expect(driver.scheduler.job(JobID(1))?.doneCount == 1)
  }

  @Test("a result that is repeated while it is being made safe is committed once")
  func repeatedWhileCommitting() {
    var driver = SchedulerDriver()
    driver.add(files: [100])
    driver.join("a")
    let commands = driver.finish("a", Attempt(shard: 0)) + driver.finish("a", Attempt(shard: 0))
    #expect(commands.count { if case .commit = $0 { true } else { false } } == 1)
    #expect(driver.scheduler.discarded == ["repeated": 1])
    #expect(driver.messages("a").acknowledged.isEmpty)
  }

  @Test("a result that is being made safe counts, though its worker is gone")
  func committedAfterDeath() {
    var driver = SchedulerDriver()
    driver.add(files: [1])
    driver.join("a")
    driver.finish("a", Attempt(shard: 0))
    driver.peers["a"]!.beats = false
    driver.pass(milliseconds: 6000)
    #expect(!driver.scheduler.hasSession(driver.peers["a"]!.session))
    #expect(driver.doneJobs.isEmpty)
    driver.handle(.committed(Attempt(shard: 0)))
    #expect(driver.doneJobs == [JobID(1)])
  }
}
