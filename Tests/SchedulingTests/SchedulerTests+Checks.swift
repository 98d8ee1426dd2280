import Diagnostics
import Digests
import Scheduling
import Testing
import Wire

/// What an earlier life of the coordinator has done is read back before it counts.
extension SchedulerTests {
  private static func digests(_ shards: some Sequence<Int>) -> [Int: Digest128] {
    Dictionary(uniqueKeysWithValues: shards.map { ($0, SchedulerDriver.digest($0)) })
  }

  @Test("shards of an earlier life are read back by workers that reach the output, and not computed")
  func checks() {
    var driver = SchedulerDriver()
    driver.join("a", slots: 2)
    driver.join("b", slots: 2)
    driver.add(files: [10], unchecked: Self.digests(0..<8))
    #expect(!driver.messages("a").checks.isEmpty && !driver.messages("b").checks.isEmpty)
    driver.work()
    let checks = driver.messages("a").checks + driver.messages("b").checks
    #expect(checks.map(\.shard).sorted() == Array(0..<8))
    #expect((driver.messages("a").granted + driver.messages("b").granted).map(\.shard).sorted() == [8, 9])
    #expect(driver.checked == Dictionary(uniqueKeysWithValues: (0..<8).map { ($0, true) }))
    #expect(driver.doneJobs == [JobID(1)])
    #expect(driver.verifications.isEmpty)
  }

  @Test("what is not as journalled is computed again, by anybody, and said")
  func checkDiffers() {
    var driver = SchedulerDriver()
    driver.join("a")
    driver.add(files: [2], unchecked: Self.digests(0..<2))
    let first = driver.held("a")[0]
    driver.finish("a", first, digest: Digest128(high: 9, low: 9))
    #expect(driver.checked == [first.shard: false])
    #expect(driver.notes.contains(.outputDiffers(JobID(1), shard: first.shard, name: "a")))
    #expect(driver.messages("a").acknowledged == [first])
    driver.work()
    #expect(driver.messages("a").granted.map(\.shard) == [first.shard])
    #expect(driver.doneJobs == [JobID(1)])
    // The worker is not to blame for what it found.
    #expect(driver.scheduler.workers(at: driver.now)[0].failures == 0)
  }

  @Test("a worker that cannot read the output back is not asked again; another is, or the coordinator")
  func checkFails() {
    var driver = SchedulerDriver()
    driver.join("a")
    driver.join("b")
    driver.add(files: [4], unchecked: Self.digests(0..<4))
    let key = driver.held("a")[0]
    driver.fail("a", key, .output)
    #expect(driver.checked.isEmpty)
    while let key = driver.held("a").first { driver.fail("a", key, .output) }
    while let key = driver.held("b").first { driver.finish("b", key) }
    #expect(driver.checked == [0: true, 1: true, 2: true, 3: true])
    #expect(driver.messages("b").checks.map(\.shard).contains(key.shard))
    #expect(driver.doneJobs == [JobID(1)])

    var alone = SchedulerDriver()
    alone.join("a")
    alone.add(files: [1], unchecked: Self.digests(0..<1))
    alone.fail("a", alone.held("a")[0], .output)
    #expect(alone.verifications == [0])
    alone.handle(.verified(JobID(1), shard: 0, matches: true))
    #expect(alone.doneJobs == [JobID(1)])
  }

  @Test("what waits at a worker whose slots hang is read back by the coordinator")
  func checkerHangs() {
    var driver = SchedulerDriver()
    driver.join("a")
    driver.add(files: [3], unchecked: Self.digests(0..<3))
    #expect(driver.held("a").count == 3)
    driver.pass(milliseconds: 250_000)
    #expect(driver.held("a").isEmpty)
    #expect(driver.verifications.count == 2)
    for shard in driver.verifications { driver.handle(.verified(JobID(1), shard: shard, matches: true)) }
    driver.handle(.verified(JobID(1), shard: driver.verifications[2], matches: true))
    #expect(driver.doneJobs == [JobID(1)])
  }

  @Test("a worker that streams the output reads nothing back; the coordinator does, a few at a time")
  func checksHere() {
    var driver = SchedulerDriver()
    driver.join("a") { SchedulerDriver.access(to: $0, output: .streamed) }
    driver.add(files: [5], unchecked: Self.digests(0..<4))
    #expect(driver.messages("a").checks.isEmpty)
    #expect(driver.held("a").map(\.shard) == [4])
    #expect(driver.verifications == [0, 1])
    driver.handle(.verified(JobID(1), shard: 0, matches: true))
    driver.handle(.verified(JobID(1), shard: 1, matches: false))
    #expect(driver.verifications == [0, 1, 2, 3])
    #expect(driver.notes.contains(.outputDiffers(JobID(1), shard: 1, name: nil)))
    driver.handle(.verified(JobID(1), shard: 2, matches: true))
    driver.handle(.verified(JobID(1), shard: 3, matches: true))
    driver.work()
    #expect(driver.messages("a").granted.map(\.shard).sorted() == [1, 4])
    #expect(driver.doneJobs == [JobID(1)])
  }

  @Test("a worker that comes takes the rest of what the coordinator reads back")
  func checkerComes() {
    var driver = SchedulerDriver()
    driver.add(files: [5], unchecked: Self.digests(0..<5))
    #expect(driver.verifications == [0, 1])
    driver.join("a", slots: 4)
    #expect(driver.messages("a").checks.count == 3)
    driver.handle(.verified(JobID(1), shard: 0, matches: true))
    #expect(driver.verifications == [0, 1])
    driver.handle(.verified(JobID(1), shard: 1, matches: true))
    driver.work()
    #expect(driver.doneJobs == [JobID(1)])
  }

  @Test("what a lost worker was to read back is read back by another")
  func checkerLost() {
    var driver = SchedulerDriver()
    driver.join("a")
    driver.add(files: [1], unchecked: Self.digests(0..<1))
    driver.peers["a"]!.beats = false
    driver.pass(milliseconds: 4000)
    driver.join("b")
    driver.pass(milliseconds: 1000)
    #expect(driver.messages("b").checks == [Attempt(shard: 0, attempt: 2)])
    driver.peers["a"] = nil
    driver.work()
    // Nobody wrote, so nothing is contested.
    #expect(driver.verifications.isEmpty)
    #expect(driver.doneJobs == [JobID(1)])
  }

  @Test("a cancelled job ends while shards are read back")
  func cancelledWhileChecking() {
    var driver = SchedulerDriver()
    driver.join("a")
    driver.add(files: [3], unchecked: Self.digests(0..<3))
    driver.handle(.cancel(JobID(1)))
    driver.beat("a")
    driver.handle(.verified(JobID(1), shard: 1, matches: false))
    #expect(driver.stoppedJobs == [JobID(1)])
  }
}
