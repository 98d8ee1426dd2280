import Digests
import Scheduling
import Testing
import Wire

/// A finished output is read back, and computed again in whole or in part.
extension SchedulerTests {
  private static let digests = Dictionary(uniqueKeysWithValues: (0..<4).map { ($0, SchedulerDriver.digest($0)) })

  private func driver(_ names: String..., output: Access = .direct, proved: Set<Int>) -> SchedulerDriver {
    var driver = SchedulerDriver()
    for name in names { driver.join(name) { SchedulerDriver.access(to: $0, output: output) } }
    driver.handle(.add(SchedulerDriver.job(files: [4], unchecked: Self.digests, proved: proved)))
    return driver
  }

  @Test("all shards of a proof are read back, and those that are wanted are computed again, right or not")
  func proof() {
    var driver = driver("a", "b", proved: [1, 2])
    let first = driver.held("a")[0]
    driver.finish("a", first, digest: Digest128(high: 9, low: 9))
    driver.work()
    #expect(driver.checked == Dictionary(uniqueKeysWithValues: (0..<4).map { ($0, $0 != first.shard) }))
    #expect((driver.messages("a").checks + driver.messages("b").checks).map(\.shard).sorted() == [0, 1, 2, 3])
    #expect((driver.messages("a").granted + driver.messages("b").granted).map(\.shard).sorted() == [1, 2])
    #expect(driver.doneJobs == [JobID(1)])
    // Nothing is said of computing what differs again, as nothing is mended.
    #expect(!driver.notes.contains { if case .outputDiffers = $0 { true } else { false } })
  }

  @Test("a proof writes nothing, so nothing is read back when its workers die")
  func proofOfTheLost() {
    var driver = driver("a", "b", proved: [0, 1, 2, 3])
    while driver.checked.count < 4 {
      for name in ["a", "b"] { if let key = driver.held(name).first { driver.complete(name, key) } }
    }
    driver.beat("a")
    driver.peers["a"]!.beats = false
    driver.pass(milliseconds: 6000)
    while let key = driver.held("b").first { driver.complete("b", key) }
    #expect(driver.doneJobs == [JobID(1)])
    #expect(driver.verifications.isEmpty)
  }

  @Test("where no worker reaches the output, the coordinator reads it and workers compute")
  func proofReadHere() {
    var driver = driver("a", output: .streamed, proved: [0, 1, 2, 3])
    #expect(driver.held("a").isEmpty)
    var answered: Set<Int> = []
    while let shard = driver.verifications.first(where: { !answered.contains($0) }) {
      answered.insert(shard)
      driver.handle(.verified(JobID(1), shard: shard, matches: shard != 3))
    }
    #expect(driver.checked == [0: true, 1: true, 2: true, 3: false])
    driver.work()
    #expect(driver.messages("a").granted.map(\.shard).sorted() == [0, 1, 2, 3])
    #expect(driver.doneJobs == [JobID(1)])
  }
}
