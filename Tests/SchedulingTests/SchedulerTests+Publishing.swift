import Diagnostics
import Digests
import Scheduling
import Testing
import Wire

extension SchedulerTests {
  // MARK: streamed results that are refused

  @Test("a result that is not what was received is acknowledged and tried elsewhere")
  func refused() {
    var driver = SchedulerDriver()
    driver.join("a")
    driver.join("b")
    driver.add(files: [1])
    driver.finish("a", Attempt(shard: 0))
    driver.handle(.refused(Attempt(shard: 0), Problem(.init("shard-differs"), "not what was received")))
    #expect(driver.messages("a").acknowledged == [Attempt(shard: 0)])
    #expect(driver.scheduler.job(JobID(1))?.doneCount == 0)
    driver.pass(milliseconds: 1000)
    #expect(driver.held("b") == [Attempt(shard: 0, attempt: 2)])
    driver.work()
    #expect(driver.doneJobs == [JobID(1)])
  }

  @Test("a commit that nobody waits for has no effect")
  func strangeCommit() {
    var driver = SchedulerDriver()
    driver.add()
    driver.join("a")
    driver.handle(.committed(Attempt(shard: 0)))
    driver.handle(.refused(Attempt(shard: 0), Problem(.init("test"), "")))
    driver.handle(.verified(JobID(1), shard: 0, matches: false))
    #expect(driver.scheduler.discarded == ["commit-of-nothing": 2])
    #expect(driver.scheduler.job(JobID(1))?.doneCount == 0)
    #expect(driver.scheduler.holder(of: Attempt(shard: 0)) != nil)
  }

  // MARK: reading back

  /// A shard whose first worker died while it held it, done by another.
  private func contested() -> SchedulerDriver {
    var driver = SchedulerDriver()
    driver.add(files: [1])
    driver.join("dead")
    driver.peers["dead"]!.beats = false
    driver.pass(milliseconds: 5000)
    driver.join("a")
    driver.complete("a", Attempt(shard: 0, attempt: 2))
    return driver
  }

  @Test("a shard that two workers may have written to is read back before the job is done")
  func readBack() {
    var driver = contested()
    #expect(driver.log.contains(.verify(JobID(1), shard: 0, expected: SchedulerDriver.digest(0))))
    driver.pass(milliseconds: 2000)
    #expect(driver.doneJobs.isEmpty)
    #expect(driver.verifications == [0])
    driver.handle(.verified(JobID(1), shard: 0, matches: true))
    #expect(driver.doneJobs == [JobID(1)])
  }

  @Test("what is read back and differs is done again after a backoff, and read back again")
  func readBackDiffers() {
    var driver = contested()
    driver.handle(.verified(JobID(1), shard: 0, matches: false))
    #expect(driver.doneJobs.isEmpty)
    #expect(driver.notes.contains(.readBackDiffers(JobID(1), shard: 0, name: "a")))
    #expect(driver.held("a").isEmpty)
    driver.pass(milliseconds: 1000)
    #expect(driver.held("a") == [Attempt(shard: 0, attempt: 3)])
    driver.complete("a", Attempt(shard: 0, attempt: 3))
    #expect(driver.doneJobs.isEmpty)
    driver.handle(.verified(JobID(1), shard: 0, matches: true))
    #expect(driver.doneJobs == [JobID(1)])
  }

  @Test("a disk that does not keep what was written stops the job")
  func readBackDiffersAgain() {
    var driver = contested()
    for attempt in 3...4 {
      driver.handle(.verified(JobID(1), shard: 0, matches: false))
      driver.pass(milliseconds: 10_000)
      driver.complete("a", Attempt(shard: 0, attempt: attempt))
    }
    #expect(driver.problems.isEmpty)
    driver.handle(.verified(JobID(1), shard: 0, matches: false))
    #expect(driver.problems.map(\.code) == [.readBackDiffers])
  }

  @Test("shards that one worker alone has held are not read back")
  func noReadBack() {
    var driver = SchedulerDriver()
    driver.add(files: [100])
    driver.join("a")
    driver.join("b")
    driver.work()
    #expect(driver.doneJobs == [JobID(1)])
    #expect(driver.verifications.isEmpty)
  }

  // MARK: publishing

  @Test("a job is done only when every lease of it has ended")
  func everyLease() {
    var driver = SchedulerDriver()
    driver.join("slow")
    driver.join("fast")
    driver.add(files: [1])
    driver.pass(milliseconds: 2000)
    driver.peers["slow"]!.isDeaf = true
    driver.complete("fast", Attempt(shard: 0, attempt: 2))
    // It was revoked, and still says that it is at it.
    for _ in 0..<20 {
      driver.pass(milliseconds: 1000)
      #expect(driver.verifications.isEmpty && driver.doneJobs.isEmpty)
    }
    driver.peers["slow"]!.held = []
    driver.beat("slow")
    #expect(driver.verifications == [0])
    driver.handle(.verified(JobID(1), shard: 0, matches: true))
    #expect(driver.doneJobs == [JobID(1)])
  }

  @Test("a revoked worker that falls silent holds a job up for the lease time, no longer")
  func silentLoser() {
    var driver = SchedulerDriver()
    driver.join("slow")
    driver.join("fast")
    driver.add(files: [1])
    driver.pass(milliseconds: 2000)
    driver.peers["slow"]!.isDeaf = true
    driver.peers["slow"]!.beats = false
    driver.complete("fast", Attempt(shard: 0, attempt: 2))
    driver.pass(milliseconds: 4750)
    #expect(driver.verifications.isEmpty)
    driver.pass(milliseconds: 250)
    #expect(driver.verifications == [0])
  }

  @Test("leases that are over are told, so that what they streamed is dropped")
  func endedLeases() {
    var driver = SchedulerDriver()
    driver.add(files: [2])
    driver.join("a")
    driver.complete("a", Attempt(shard: 0))
    driver.fail("a", Attempt(shard: 1))
    let ended = driver.log.compactMap { if case .leasesEnded(let keys) = $0 { keys } else { nil } }
    #expect(ended == [[Attempt(shard: 0)], [Attempt(shard: 1)]])
  }

  @Test("a resumed job is not done before workers of the earlier life have fenced themselves")
  func resumed() {
    var driver = SchedulerDriver()
    driver.add(files: [1], done: [0: SchedulerDriver.digest(0)], isResumed: true)
    driver.pass(milliseconds: 5000)
    #expect(driver.doneJobs.isEmpty)
    driver.pass(milliseconds: 1250)
    #expect(driver.doneJobs == [JobID(1)])
  }

  @Test("a job that is complete when it is added, and new, is done at once")
  func complete() {
    var driver = SchedulerDriver()
    driver.add(files: [1], done: [0: SchedulerDriver.digest(0)])
    #expect(driver.doneJobs == [JobID(1)])
  }

  // MARK: stopping

  @Test("a job that nobody works on is cancelled at once")
  func cancelIdle() {
    var driver = SchedulerDriver()
    driver.add()
    driver.handle(.cancel(JobID(1)))
    #expect(driver.stoppedJobs == [JobID(1)])
    #expect(driver.problems.isEmpty)
    #expect(driver.scheduler.job(JobID(1)) == nil)
  }

  @Test("a cancelled job stops when its leases are revoked and given up")
  func cancel() {
    var driver = SchedulerDriver()
    driver.add()
    driver.join("a")
    let keys = driver.held("a")
    driver.handle(.cancel(JobID(1)))
    #expect(driver.messages("a").revoked == keys)
    #expect(driver.stoppedJobs.isEmpty)
    driver.beat("a")
    #expect(driver.stoppedJobs == [JobID(1)])
    #expect(driver.messages("a").granted == keys)
    #expect(driver.scheduler.leaseCount == 0)
  }

  @Test("a result that is being made safe when its job is cancelled holds it up, and has no effect")
  func cancelWhileCommitting() {
    var driver = SchedulerDriver()
    driver.add(files: [1])
    driver.join("a")
    driver.finish("a", Attempt(shard: 0))
    driver.handle(.cancel(JobID(1)))
    driver.beat("a")
    #expect(driver.stoppedJobs.isEmpty)
    driver.handle(.committed(Attempt(shard: 0)))
    #expect(driver.stoppedJobs == [JobID(1)])
    #expect(driver.doneJobs.isEmpty)
  }

  @Test("a failing job is not done by the results that come after")
  func failing() {
    var driver = SchedulerDriver { $0.failureLimit = 1 }
    driver.add(files: [2])
    driver.join("a")
    driver.peers["a"]!.isDeaf = true
    driver.fail("a", Attempt(shard: 0))
    driver.finish("a", Attempt(shard: 1))
    #expect(driver.problems.count == 1 && driver.stoppedJobs.isEmpty)
    driver.beat("a", held: [], seen: .max)
    #expect(driver.stoppedJobs == [JobID(1)])
    #expect(driver.doneJobs.isEmpty)
  }

  @Test("cancelling a job that is not there does nothing")
  func cancelUnknown() {
    var driver = SchedulerDriver()
    #expect(driver.handle(.cancel(JobID(3))).isEmpty)
  }
}
