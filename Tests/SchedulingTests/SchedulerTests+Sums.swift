import Diagnostics
import Scheduling
import Testing
import Wire

/// The SHA-256 of output files, when all shards are done.
extension SchedulerTests {
  private static let sum = String(repeating: "0123456789abcdef", count: 4)

  private func driver(_ names: String..., output: Access = .direct) -> SchedulerDriver {
    var driver = SchedulerDriver()
    for name in names { driver.join(name) { SchedulerDriver.access(to: $0, output: output) } }
    driver.handle(.add(SchedulerDriver.job(files: [1, 1], sums: 2)))
    return driver
  }

  private func finish(_ key: Attempt, _ name: String, in driver: inout SchedulerDriver) {
    driver.say(.finished(.init(key, digests: [SchedulerDriver.digest(0)], milliseconds: 1, segments: [], sha256: Self.sum)), as: name)
  }

  @Test("files are summed by workers when all shards are done, and then the job is")
  func sums() {
    var driver = driver("a", "b")
    driver.complete("a", driver.held("a")[0])
    #expect(driver.messages("a").sums.isEmpty)
    driver.complete("b", driver.held("b")[0])
    #expect((driver.messages("a").sums + driver.messages("b").sums).map(\.shard).sorted() == [2, 3])
    #expect(driver.doneJobs.isEmpty)
    for name in ["a", "b"] { finish(driver.held(name)[0], name, in: &driver) }
    #expect(driver.sums == [0: Self.sum, 1: Self.sum])
    #expect(driver.doneJobs == [JobID(1)])
    #expect(driver.held("a").isEmpty && driver.held("b").isEmpty)
  }

  @Test("what a lost worker was to sum is summed by another")
  func summerLost() {
    var driver = driver("a", "b")
    for name in ["a", "b"] { driver.complete(name, driver.held(name)[0]) }
    driver.peers["a"]!.beats = false
    finish(driver.held("b")[0], "b", in: &driver)
    driver.pass(milliseconds: 6000)
    #expect(driver.held("b").count == 1)
    finish(driver.held("b")[0], "b", in: &driver)
    #expect(driver.doneJobs == [JobID(1)])
  }

  @Test("where no worker can read the output, or all fail, the coordinator sums")
  func sumsHere() {
    var streamed = driver("a", "b", output: .streamed)
    for name in ["a", "b"] { streamed.complete(name, streamed.held(name)[0]) }
    #expect(streamed.log.contains(.sum(JobID(1), file: 0)) && streamed.log.contains(.sum(JobID(1), file: 1)))
    streamed.handle(.summed(JobID(1), file: 0, sha256: Self.sum))
    streamed.handle(.summed(JobID(1), file: 0, sha256: Self.sum))
    #expect(streamed.doneJobs.isEmpty)
    streamed.handle(.summed(JobID(1), file: 1, sha256: Self.sum))
    #expect(streamed.doneJobs == [JobID(1)])

    var failing = driver("a")
    for _ in 0..<2 { failing.complete("a", failing.held("a")[0]) }
    while let key = failing.held("a").first { failing.fail("a", key, .output) }
    failing.handle(.summed(JobID(1), file: 0, sha256: nil))
    failing.handle(.summed(JobID(1), file: 1, sha256: nil))
    #expect(failing.problems.map(\.code) == [.sumFailed])
    #expect(failing.stoppedJobs == [JobID(1)])
  }

  @Test("a cancelled job ends while its files are summed")
  func cancelledWhileSumming() {
    var driver = driver("a")
    for _ in 0..<2 { driver.complete("a", driver.held("a")[0]) }
    driver.handle(.cancel(JobID(1)))
    driver.beat("a")
    #expect(driver.stoppedJobs == [JobID(1)])
    #expect(driver.held("a").isEmpty)
  }
}
