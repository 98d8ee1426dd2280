import Diagnostics
import Digests
import Scheduling
import Testing
import Wire

extension SchedulerTests {
  private static let first = Attempt(shard: 0, attempt: 1)
  private static let second = Attempt(shard: 0, attempt: 2)

  /// A shard that "slow" works on and that "fast" was given as well.
  private func speculated() -> SchedulerDriver {
    var driver = SchedulerDriver()
    driver.join("slow")
    driver.join("fast")
    driver.add(files: [1])
    #expect(driver.held("slow") == [Self.first])
    driver.pass(milliseconds: 2000)
    #expect(driver.held("fast") == [Self.second])
    return driver
  }

  @Test("a shard that takes long is given to a second worker once nothing else is left, and not before")
  func speculation() {
    var driver = SchedulerDriver()
    driver.join("slow")
    driver.join("fast")
    driver.add(files: [1])
    driver.pass(milliseconds: 1750)
    #expect(driver.held("fast").isEmpty)
    driver.pass(milliseconds: 250)
    #expect(driver.held("fast") == [Self.second])
    #expect(driver.notes.contains(.speculated(Self.second, name: "fast")))
  }

  @Test("much longer than usual is twice as long as the shards before")
  func usualTime() {
    var driver = SchedulerDriver()
    driver.join("slow")
    driver.join("fast")
    driver.add(files: [4])
    driver.pass(milliseconds: 3000)
    // 3 s each, so that 6 s are not unusual.
    driver.complete("fast", driver.held("fast")[0])
    for key in driver.held("slow").dropLast() { driver.complete("slow", key) }
    let left = driver.held("slow")
    #expect(left.count == 1 && driver.held("fast").isEmpty)
    driver.pass(milliseconds: 2750)
    #expect(driver.held("fast").isEmpty)
    driver.pass(milliseconds: 250)
    #expect(driver.held("fast").map(\.shard) == left.map(\.shard))
  }

  @Test("a shard is given to one more worker, not to a third")
  func onceOnly() {
    var driver = speculated()
    driver.join("third")
    driver.pass(milliseconds: 60_000)
    #expect(driver.messages("third").granted.isEmpty)
  }

  @Test("when the second worker gives it up another gets it, but not for ever")
  func givenUp() {
    var driver = speculated()
    for _ in 0..<10 {
      driver.peers["fast"]!.held = []
      driver.pass(milliseconds: 10_000)
    }
    #expect(driver.scheduler.job(JobID(1))?.retries == 3)
  }

  @Test("a coordinator that stood still takes nobody for lost")
  func absence() {
    var driver = SchedulerDriver()
    driver.join("a")
    driver.add(files: [1])
    let held = driver.held("a")
    #expect(held.count == 1)
    // Suspended: the clock goes on, and the first that happens afterwards is a tick.
    driver.skip(milliseconds: 3_600_000)
    driver.handle(.tick)
    driver.pass(milliseconds: 2000)
    #expect(driver.held("a") == held)
    #expect(!driver.notes.contains { if case .workerLost = $0 { true } else { false } })
  }

  @Test("a worker is not given its own shard a second time")
  func ownShard() {
    var driver = SchedulerDriver()
    driver.add(files: [1])
    driver.join("a", slots: 8)
    driver.pass(milliseconds: 60_000)
    #expect(driver.messages("a").granted == [Self.first])
  }

  @Test("while shards wait, no shard is given out twice")
  func pendingFirst() {
    var driver = SchedulerDriver()
    driver.join("a")
    driver.join("b")
    driver.add(files: [100])
    driver.pass(milliseconds: 60_000)
    #expect(driver.notes.allSatisfy { if case .speculated = $0 { false } else { true } })
  }

  @Test("neither a draining worker nor one that cannot do it is given a slow shard")
  func unfitWorkers() {
    var driver = SchedulerDriver()
    driver.join("slow")
    let report = ProblemReport(.init(.init("test"), "no"))
    driver.join("refuses") { SchedulerDriver.access(to: $0, refusal: report) }
    driver.join("drains")
    driver.peers["drains"]!.isDraining = true
    driver.beat("drains")
    driver.add(files: [1])
    driver.pass(milliseconds: 60_000)
    #expect(driver.messages("refuses").granted.isEmpty)
    #expect(driver.messages("drains").granted.isEmpty)
  }

  @Test("a slow shard is not given to a worker that it has failed on")
  func failedBefore() {
    var driver = SchedulerDriver()
    driver.join("a")
    driver.join("b")
    driver.add(files: [1])
    driver.fail("a", Self.first)
    driver.pass(milliseconds: 60_000)
    #expect(driver.held("b") == [Self.second])
    #expect(driver.messages("a").granted == [Self.first])
    driver.join("c")
    driver.pass(milliseconds: 250)
    #expect(driver.held("c") == [Attempt(shard: 0, attempt: 3)])
  }

  @Test("the first result wins, and the loser is revoked")
  func loser() {
    var driver = speculated()
    driver.complete("fast", Self.second)
    #expect(driver.messages("fast").acknowledged == [Self.second])
    #expect(driver.messages("slow").revoked == [Self.first])
    #expect(driver.held("slow").isEmpty)
    #expect(driver.scheduler.job(JobID(1))?.doneCount == 1)
  }

  @Test("the second result is not made safe while the first is, and acknowledged when it says the same")
  func equalDigests() {
    var driver = speculated()
    driver.finish("fast", Self.second)
    let early = driver.finish("slow", Self.first)
    #expect(early.isEmpty)
    driver.peers["slow"]!.isDeaf = true
    driver.handle(.committed(Self.second))
    driver.peers["slow"]!.isDeaf = false
    driver.finish("slow", Self.first)
    #expect(driver.messages("slow").acknowledged == [Self.first])
    #expect(driver.problems.isEmpty)
    #expect(driver.verifications == [0])
  }

  /// "fast" wins, and "slow" says something else before the revocation reaches it.
  private func disagreement() -> (SchedulerDriver, [Scheduler.Command]) {
    var driver = speculated()
    driver.peers["slow"]!.isDeaf = true
    driver.complete("fast", Self.second)
    driver.peers["slow"]!.isDeaf = false
    let commands = driver.finish("slow", Self.first, digest: Digest128(high: 2, low: 2))
    return (driver, commands)
  }

  @Test("two different digests stop the job, and both workers are named, once the second is found to be true")
  func differentDigests() throws {
    var (driver, commands) = disagreement()
    #expect(commands.count == 1)
    guard case .check(let finished, let session)? = commands.first else {
      Issue.record("no check in \(commands)")
      return
    }
    #expect(finished.key == Self.first && session == driver.peers["slow"]!.session)
    #expect(driver.problems.isEmpty)
    #expect(driver.finish("slow", Self.first, digest: Digest128(high: 2, low: 2)).isEmpty, "one check is enough")
    driver.handle(.committed(Self.first))
    let problem = try #require(driver.problems.first)
    #expect(problem.code == .digestsDiffer)
    #expect(problem.message.contains("\(SchedulerDriver.digest(0)) from fast"))
    #expect(problem.message.contains("\(Digest128(high: 2, low: 2)) from slow"))
    #expect(driver.stoppedJobs == [JobID(1)])
    #expect(driver.doneJobs.isEmpty)
  }

  @Test("a different digest that does not fit what was received is the worker's fault alone")
  func lie() {
    var (driver, _) = disagreement()
    driver.handle(.refused(Self.first, Problem(.init("shard-differs"), "not what was received")))
    #expect(driver.problems.isEmpty)
    #expect(driver.scheduler.workers(at: driver.now).map(\.failures) == [1, 0])
    #expect(driver.scheduler.job(JobID(1))?.doneCount == 1)
  }

  @Test("when the one of two workers fails, the other goes on alone")
  func oneFails() {
    var driver = speculated()
    driver.fail("fast", Self.second)
    driver.pass(milliseconds: 1500)
    #expect(driver.scheduler.job(JobID(1))?.retries == 1)
    driver.complete("slow", Self.first)
    #expect(driver.doneJobs == [JobID(1)])
  }

  @Test("an attempt without progress is given to another worker though slow shards are usual")
  func stalled() {
    var driver = SchedulerDriver { $0.speculationMilliseconds = 1_000_000 }
    driver.join("stuck")
    driver.join("idle")
    driver.add(files: [1])
    driver.beat("stuck", progress: 1)
    driver.pass(milliseconds: 118_000)
    #expect(driver.held("idle").isEmpty)
    driver.pass(milliseconds: 3000)
    #expect(driver.held("idle") == [Self.second])
  }

  @Test("progress keeps an attempt from being given to another worker")
  func progress() {
    var driver = SchedulerDriver { $0.speculationMilliseconds = 1_000_000 }
    driver.join("a")
    driver.join("idle")
    driver.add(files: [1])
    for second in 1...300 {
      driver.beat("a", progress: second)
      driver.pass(milliseconds: 750)
    }
    #expect(driver.held("idle").isEmpty)
  }
}
