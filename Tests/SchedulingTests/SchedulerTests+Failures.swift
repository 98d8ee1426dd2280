import Diagnostics
import Scheduling
import Testing
import Wire

extension SchedulerTests {
  @Test("a failed shard is tried elsewhere, after a backoff")
  func elsewhere() {
    var driver = SchedulerDriver()
    driver.join("a")
    driver.join("b")
    driver.add(files: [2])
    #expect(driver.shards("a") == [0] && driver.shards("b") == [1])
    driver.fail("a", Attempt(shard: 0))
    driver.complete("b", Attempt(shard: 1))
    driver.pass(milliseconds: 750)
    #expect(driver.held("a").isEmpty && driver.held("b").isEmpty)
    driver.pass(milliseconds: 250)
    #expect(driver.held("a").isEmpty)
    #expect(driver.held("b") == [Attempt(shard: 0, attempt: 2)])
  }

  @Test("the backoff doubles with each failure")
  func backoff() {
    var driver = SchedulerDriver {
      $0.failureLimit = 100
      $0.setAsideAfter = 100
    }
    driver.add(files: [1])
    driver.join("a")
    var waits: [Int] = []
    for attempt in 1...5 {
      driver.fail("a", Attempt(shard: 0, attempt: attempt))
      let start = driver.now
      for _ in 0..<100 where driver.held("a").isEmpty { driver.pass(milliseconds: 250) }
      waits.append(driver.now.milliseconds(since: start))
    }
    #expect(waits == [1000, 2000, 4000, 8000, 16000])
  }

  @Test("a job whose shard fails on three workers stops, with the cause and their names")
  func threeWorkers() throws {
    var driver = SchedulerDriver()
    driver.add(files: [1])
    for (attempt, name) in ["carol", "alice", "bob"].enumerated() {
      driver.join(name)
      driver.pass(milliseconds: 2250)
      try #require(driver.held(name) == [Attempt(shard: 0, attempt: attempt + 1)])
      #expect(driver.problems.isEmpty)
      driver.fail(name, driver.held(name)[0])
    }
    let problem = try #require(driver.problems.first)
    #expect(problem.code == .init("test"))
    #expect(problem.message == "shard 0 failed on alice, bob, carol: broken by bob")
    #expect(driver.stoppedJobs == [JobID(1)])
  }

  @Test("a shard that fails three times on the only worker stops its job")
  func lone() {
    var driver = SchedulerDriver()
    driver.add(files: [1])
    driver.join("a")
    for attempt in 1...3 {
      #expect(driver.problems.isEmpty)
      #expect(driver.held("a") == [Attempt(shard: 0, attempt: attempt)])
      driver.fail("a", Attempt(shard: 0, attempt: attempt))
      driver.pass(milliseconds: 5000)
    }
    #expect(driver.problems.map(\.message) == ["broken by a"])
    #expect(driver.stoppedJobs == [JobID(1)])
  }

  @Test("three failures of different shards stop nothing")
  func differentShards() {
    var driver = SchedulerDriver()
    driver.add(files: [3])
    driver.join("a")
    for shard in 0..<3 { driver.fail("a", Attempt(shard: shard)) }
    driver.pass(milliseconds: 1500)
    #expect(driver.held("a").map(\.attempt) == [2, 2, 2])
    driver.work()
    #expect(driver.doneJobs == [JobID(1)])
  }

  @Test("a shard that kills worker after worker stops its job after three, and no other job")
  func poison() throws {
    var driver = SchedulerDriver()
    driver.add(1, files: [1])
    driver.add(2, files: [100])
    for attempt in 1...3 {
      let name = "w\(attempt)"
      driver.join(name)
      driver.pass(milliseconds: 1000)
      try #require(driver.held(name).first == Attempt(shard: 0, attempt: attempt))
      #expect(driver.problems.isEmpty)
      driver.peers[name]!.beats = false
      driver.pass(milliseconds: 5000)
    }
    let problem = try #require(driver.problems.first)
    #expect(driver.problems.count == 1)
    #expect(problem.code == .shardFailed)
    #expect(problem.message.hasPrefix("shard 0 failed on w1, w2, w3: "))
    #expect(driver.stoppedJobs == [JobID(1)])
    driver.join("w4", slots: 200)
    #expect(driver.held("w4").count == 100)
  }

  @Test("a shard that was only queued when its worker died is not blamed for it")
  func queuedAtDeath() {
    var driver = SchedulerDriver()
    driver.add(files: [1])
    for attempt in 1...5 {
      let name = "w\(attempt)"
      driver.join(name)
      #expect(driver.held(name) == [Attempt(shard: 0, attempt: attempt)])
      // It dies before it says that it runs anything.
      driver.peers[name]!.beats = false
      driver.pass(milliseconds: 5000)
    }
    #expect(driver.problems.isEmpty)
  }

  // MARK: workers that fail

  private func fail(_ count: Int, in driver: inout SchedulerDriver) {
    for key in driver.held("bad").prefix(count) { driver.fail("bad", key) }
  }

  @Test("a worker that fails three times in a row gets nothing for a while, then comes back")
  func setAside() {
    var driver = SchedulerDriver()
    driver.add(files: [1000, 1000])
    driver.join("good")
    driver.join("bad")
    fail(3, in: &driver)
    #expect(driver.notes.contains(.workerSetAside(driver.peers["bad"]!.session, name: "bad", milliseconds: 30_000)))
    #expect(driver.scheduler.workers(at: driver.now).map(\.state) == [.active, .setAside])
    let before = driver.messages("bad").granted
    driver.pass(milliseconds: 29_750)
    #expect(driver.messages("bad").granted == before)
    driver.pass(milliseconds: 250)
    #expect(driver.messages("bad").granted.count > before.count)
    #expect(driver.scheduler.workers(at: driver.now).map(\.state) == [.active, .active])
  }

  @Test("it is set aside for longer each time, until it succeeds")
  func setAsideLonger() {
    var driver = SchedulerDriver()
    driver.add(files: [1000, 1000])
    driver.join("good")
    driver.join("bad")
    for _ in 0..<2 {
      fail(3, in: &driver)
      driver.pass(milliseconds: 60_000)
    }
    driver.complete("bad", driver.held("bad")[0])
    fail(3, in: &driver)
    let times = driver.notes.compactMap { if case .workerSetAside(_, _, let time) = $0 { time } else { nil } }
    #expect(times == [30_000, 60_000, 30_000])
  }

  @Test("a success in between keeps a worker in")
  func successInBetween() {
    var driver = SchedulerDriver()
    driver.add(files: [1000, 1000])
    driver.join("good")
    driver.join("bad")
    for _ in 0..<5 {
      fail(2, in: &driver)
      driver.complete("bad", driver.held("bad")[0])
    }
    #expect(driver.scheduler.workers(at: driver.now).map(\.state) == [.active, .active])
  }

  @Test("the only worker is not set aside: there is nobody else")
  func onlyWorker() {
    var driver = SchedulerDriver()
    driver.add(files: [1000])
    driver.join("bad")
    for _ in 0..<3 { fail(3, in: &driver) }
    #expect(driver.held("bad").count == 3)
  }

  // MARK: space and inputs

  @Test("three failures for want of space in a row stop the job")
  func space() {
    var driver = SchedulerDriver()
    driver.add(files: [10, 10])
    driver.join("a")
    driver.join("b")
    driver.fail("a", driver.held("a")[0], .space)
    driver.fail("b", driver.held("b")[0], .space)
    #expect(driver.problems.isEmpty)
    driver.fail("a", driver.held("a")[0], .space)
    #expect(driver.problems.map(\.message) == ["broken by a"])
  }

  @Test("a success between failures for want of space shows that there is some")
  func spaceAgain() {
    var driver = SchedulerDriver()
    driver.add(files: [10, 10])
    driver.join("a")
    driver.join("b")
    for _ in 0..<2 { driver.fail("a", driver.held("a")[0], .space) }
    driver.complete("b", driver.held("b")[0])
    for _ in 0..<2 { driver.fail("b", driver.held("b")[0], .space) }
    #expect(driver.problems.isEmpty)
  }

  @Test("a worker that cannot read an input gets only shards that do not need it")
  func input() {
    var driver = SchedulerDriver()
    driver.add(files: [4, 4])
    driver.join("a", slots: 2)
    driver.join("b", slots: 2)
    #expect(driver.shards("a") == [0, 1, 2, 3])
    driver.fail("a", Attempt(shard: 0), .input, input: .init(side: .sft, file: 0))
    driver.peers["b"]!.isDraining = true
    driver.beat("b", held: [])
    // Shards 0 to 3 need the input, 4 to 7 do not; what it holds already, it may try.
    driver.pass(milliseconds: 5000)
    #expect(driver.shards("a") == [1, 2, 3, 4])
    for _ in 0..<2 { for key in driver.held("a") { driver.complete("a", key) } }
    driver.pass(milliseconds: 20_000)
    #expect(driver.held("a").isEmpty)
    #expect(driver.scheduler.isDone(JobID(1)) == [false] + Array(repeating: true, count: 7))
    driver.join("c")
    #expect(driver.held("c") == [Attempt(shard: 0, attempt: 2)])
  }

  @Test("an input that the only worker cannot read stops the job, rather than leave it waiting")
  func inputOfLoneWorker() {
    var driver = SchedulerDriver()
    driver.add(files: [10])
    driver.join("a")
    for _ in 0..<60 where driver.problems.isEmpty {
      for key in driver.held("a") {
        if key.shard == 0 {
          driver.fail("a", key, .input, input: .init(side: .aligned, file: 0))
        } else {
          driver.complete("a", key)
        }
      }
      driver.pass(milliseconds: 1000)
    }
    #expect(driver.problems.map(\.message) == ["broken by a"])
  }

  @Test("a job does not stop while a worker still looks at its files; one that never answers is not waited for", arguments: [true, false])
  func slowToPrepare(answers: Bool) {
    var driver = SchedulerDriver()
    driver.add(files: [10])
    driver.join("a")
    driver.join("slow", isDeaf: true)
    let started = driver.now
    func fails() {
      for key in driver.held("a") { driver.fail("a", key, .input, input: .init(side: .aligned, file: 0)) }
      driver.pass(milliseconds: 1000)
    }
    for _ in 0..<60 { fails() }
    #expect(driver.problems.isEmpty)
    if answers {
      driver.peers["slow"]!.isDeaf = false
      for _ in 0..<60 {
        fails()
        for key in driver.held("slow") { driver.complete("slow", key) }
      }
      #expect(driver.problems.isEmpty)
      #expect(driver.scheduler.isDone(JobID(1)).allSatisfy { $0 })
    } else {
      while driver.problems.isEmpty && driver.now.seconds(since: started) < 600 { fails() }
      #expect(driver.problems.map(\.message) == ["broken by a"])
    }
  }
}
