import Diagnostics
import Scheduling
import Testing
import Wire

extension SchedulerTests {
  @Test("a session is that of the key that said hello: what another key says in its name is discarded and counted")
  func otherKey() {
    var driver = SchedulerDriver()
    driver.add(files: [2])
    driver.join("a", user: "key-a")
    for user in ["key-b", nil] {
      driver.peers["a"]!.user = user
      #expect(driver.complete("a", Attempt(shard: 0)).isEmpty)
      #expect(driver.say(.goodbye(.init(reason: "")), as: "a").isEmpty)
      #expect(
        driver.say(
          .hello(.init(name: "b", host: "h", process: 1, slots: 1, version: "0", level: "portable")), as: "a", epoch: 0
        ).isEmpty)
    }
    #expect(driver.scheduler.discarded["other-key"] == 6)
    #expect(driver.scheduler.hasSession(driver.peers["a"]!.session, of: "key-a"))
    #expect(!driver.scheduler.hasSession(driver.peers["a"]!.session, of: "key-b"))
    #expect(!driver.scheduler.hasSession(driver.peers["a"]!.session))
    driver.peers["a"]!.user = "key-a"
    driver.complete("a", Attempt(shard: 0))
    #expect(driver.scheduler.isDone(JobID(1)) == [true, false])
  }

  @Test("a worker whose key is revoked is told so, gets nothing more, and its shards go to others when it has surely stopped")
  func expelled() {
    var driver = SchedulerDriver { $0.speculationMilliseconds = .max }
    driver.add(files: [3])
    driver.join("a", user: "key-a")
    driver.join("b", user: "key-b")
    let held = driver.held("a")
    #expect(!held.isEmpty)
    driver.pass(milliseconds: 1000)
    let session = driver.peers["a"]!.session
    let commands = driver.handle(.expel(users: ["key-a", "key-x"]))
    #expect(commands.contains(.note(.workerExpelled(session, name: "a"))))
    #expect(driver.messages("a").last == .rejected(.init(.key, "this worker's key is not authorized any more")))
    // It does not believe it, and goes on talking.
    let count = driver.messages("a").count
    for key in held { driver.complete("a", key) }
    driver.pass(milliseconds: 4500)
    #expect(driver.messages("a").count == count)
    #expect(driver.scheduler.discarded["revoked-key"] ?? 0 > held.count)
    #expect(!driver.scheduler.hasSession(session, of: "key-a"))
    #expect(held.allSatisfy { driver.scheduler.holder(of: $0) == session })
    driver.pass(milliseconds: 750)
    #expect(driver.notes.contains(.workerLost(session, name: "a", leases: held.count)))
    driver.peers["a"]!.held = []
    driver.work()
    #expect(driver.scheduler.isDone(JobID(1)) == [true, true, true])
    // It may have written to them.
    #expect(Set(driver.verifications) == Set(held.map(\.shard)))
  }

  @Test("a worker that comes back with an authorized key after that is one like any other")
  func comesBack() {
    var driver = SchedulerDriver()
    driver.add(files: [2])
    driver.join("a", user: "key-a")
    driver.handle(.expel(users: ["key-a"]))
    driver.join("a", user: "key-a")
    #expect(driver.scheduler.hasSession(driver.peers["a"]!.session, of: "key-a"))
    driver.pass(milliseconds: 10_000)
    driver.work()
    #expect(driver.scheduler.isDone(JobID(1)) == [true, true])
  }

  @Test("so many workers are taken and no more, fewer of one key; who goes makes room")
  func tooMany() {
    var driver = SchedulerDriver {
      $0.sessionLimit = 3
      $0.keySessionLimit = 2
    }
    for name in ["a", "b"] { driver.join(name, user: "key-a") }
    driver.join("c", user: "key-a")
    #expect(driver.messages("c").last == .rejected(.init(.key, "2 workers have this key, and no more are taken")))
    driver.join("d", user: "key-d")
    driver.join("e", user: "key-e")
    #expect(driver.messages("e").last == .rejected(.init(.key, "there are 3 workers, and no more are taken")))
    #expect(driver.scheduler.discarded["too-many-sessions"] == 2)
    // Those that are in may say hello again.
    driver.say(.hello(.init(name: "a", host: "h", process: 1, slots: 1, version: "0", level: "portable")), as: "a", epoch: 0)
    driver.say(.goodbye(.init(reason: "")), as: "b")
    driver.join("f", user: "key-a")
    #expect(driver.scheduler.hasSession(driver.peers["f"]!.session, of: "key-a"))
    #expect(driver.scheduler.discarded["too-many-sessions"] == 2)
  }

  @Test("of what a worker says of a job, only what somebody looks at is kept")
  func bounded() {
    let note = ProblemReport(Problem(.init("n"), "note"))
    var driver = SchedulerDriver()
    driver.add(files: [1])
    driver.join("a") { job in
      var prepared = SchedulerDriver.access(to: job, aligned: Array(repeating: .direct, count: 1000), refusal: note)
      prepared.notes = Array(repeating: note, count: 1000)
      return prepared
    }
    driver.work()
    let kept = driver.scheduler.workers(at: driver.now).flatMap(\.prepared)
    #expect(kept.allSatisfy { $0.notes.count == 10 && $0.aligned.isEmpty && $0.refusal == note })
    #expect(kept.count == 1)
  }
}
