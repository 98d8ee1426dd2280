import Scheduling
import Testing
import Wire

/// The policy, clause by clause; what becomes of it under faults of all kinds is in `SimulationTests`.
@Suite("Scheduler")
struct SchedulerTests {
  @Test("a worker holds its slots and a small prefetch", arguments: [(1, 3), (2, 4), (4, 6), (8, 12), (64, 96)])
  func prefetch(slots: Int, leases: Int) {
    var driver = SchedulerDriver()
    driver.add(files: [1000])
    driver.join("a", slots: slots)
    #expect(driver.shards("a") == Array(0..<leases))
  }

  @Test("a committed result makes room for one shard more")
  func refill() {
    var driver = SchedulerDriver()
    driver.add(files: [1000])
    driver.join("a")
    driver.complete("a", driver.held("a")[0])
    #expect(driver.shards("a") == [1, 2, 3])
  }

  @Test("a worker does not wait for the journal, unless that is far behind")
  func lateJournal() {
    var driver = SchedulerDriver()
    driver.add(files: [1000])
    driver.join("a", slots: 2)
    for shard in 0..<12 {
      // Four to do with, and at most eight results that are not safe.
      #expect(driver.shards("a") == Array(0..<min(shard + 4, 12)))
      driver.finish("a", driver.held("a").first { $0.shard == shard }!)
    }
    #expect(driver.scheduler.leaseCount == 12)
    driver.handle(.committed(driver.held("a")[0]))
    #expect(driver.shards("a").last == 12)
  }

  @Test("the last shards are not queued up behind others while somebody has a slot for them")
  func tail() {
    var driver = SchedulerDriver()
    driver.join("a", slots: 2)
    driver.join("b", slots: 2)
    driver.add(files: [5])
    driver.join("c", slots: 2)
    // Five shards for six slots: nobody holds more than its slots.
    #expect(["a", "b", "c"].map { driver.held($0).count }.max() == 2)
    #expect(["a", "b", "c"].flatMap { driver.shards($0) }.sorted() == [0, 1, 2, 3, 4])
  }

  @Test("a job that is added later is offered to the workers that are there")
  func laterJob() {
    var driver = SchedulerDriver()
    driver.join("a")
    #expect(driver.held("a").isEmpty)
    driver.add(files: [1])
    #expect(driver.held("a") == [Attempt(shard: 0)])
  }

  // MARK: where a worker works

  @Test("a worker does what it reaches directly before what is streamed")
  func direct() {
    var driver = SchedulerDriver()
    driver.add(files: [2, 2, 2])
    driver.join("a") { SchedulerDriver.access(to: $0, aligned: [.streamed, .direct]) }
    // The file in the middle is made from the second input file; behind it, it walks on.
    #expect(driver.shards("a") == [2, 3, 4])
  }

  @Test("fewer streamed files come before more")
  func classes() {
    var driver = SchedulerDriver()
    driver.add(files: [1, 1])
    driver.join("a") {
      SchedulerDriver.access(to: $0, aligned: [.streamed, .streamed], sft: [.streamed, .direct], output: .streamed)
    }
    #expect(driver.shards("a") == [1, 0])
  }

  @Test("a worker that streams everything begins where no other worker is")
  func mixed() {
    var driver = SchedulerDriver()
    driver.add(files: [10, 10])
    driver.join("direct")
    driver.join("streamed") {
      SchedulerDriver.access(to: $0, aligned: [.streamed, .streamed], sft: [.streamed, .streamed])
    }
    #expect(driver.shards("direct") == [0, 1, 2])
    #expect(driver.shards("streamed") == [10, 11, 12])
  }

  @Test("a direct file where others are at work comes before a streamed one where nobody is")
  func sharedDirectFile() {
    var driver = SchedulerDriver()
    driver.add(files: [103, 100])
    driver.join("a")
    driver.join("b") { SchedulerDriver.access(to: $0, aligned: [.direct, .streamed]) }
    #expect(driver.shards("a") == [0, 1, 2])
    #expect(driver.shards("b") == [53, 54, 55])
  }

  @Test("a worker gets consecutive shards, on into the next file, whatever order it finishes them in")
  func contiguous() {
    var driver = SchedulerDriver()
    driver.add(files: [4, 40])
    driver.join("a", slots: 2)
    #expect(driver.shards("a") == [0, 1, 2, 3])
    for shard in [3, 1, 0, 2] { driver.complete("a", Attempt(shard: shard)) }
    #expect(driver.shards("a") == [4, 5, 6, 7])
  }

  @Test("two workers start in different files")
  func differentFiles() {
    var driver = SchedulerDriver()
    driver.add(files: [10, 10, 10])
    for name in ["a", "b", "c"] { driver.join(name) }
    #expect(driver.shards("a") == [0, 1, 2])
    #expect(driver.shards("b") == [10, 11, 12])
    #expect(driver.shards("c") == [20, 21, 22])
  }

  @Test("the second worker of one file begins in the middle of what is left")
  func sameFile() {
    var driver = SchedulerDriver()
    driver.add(files: [103])
    driver.join("a")
    driver.join("b")
    #expect(driver.shards("a") == [0, 1, 2])
    #expect(driver.shards("b") == [53, 54, 55])
  }

  @Test("a file that its worker has left is begun at its start")
  func abandonedFile() {
    var driver = SchedulerDriver()
    driver.add(files: [10])
    driver.join("a")
    driver.say(.goodbye(.init(reason: "test")), as: "a")
    driver.peers["a"] = nil
    driver.join("b")
    #expect(driver.shards("b") == [0, 1, 2])
  }

  @Test("a worker that refuses a job gets nothing of it")
  func refusal() {
    let report = ProblemReport(.init(.init("input-differs"), "another model"))
    var driver = SchedulerDriver()
    driver.add()
    driver.join("a") { SchedulerDriver.access(to: $0, refusal: report) }
    #expect(driver.held("a").isEmpty)
    driver.join("b")
    #expect(driver.shards("b") == [0, 1, 2])
  }

  @Test("a job that was refused as its data could not be had is offered again, however often that is lost; other refusals are final")
  func refusalTakenBack() {
    let unreachable = ProblemReport(.init(.dataUnreachable, "nothing comes"))
    var driver = SchedulerDriver { $0.secondLookMilliseconds = 30_000 }
    driver.add()
    driver.join("a") { SchedulerDriver.access(to: $0, refusal: unreachable) }
    driver.join("b") { SchedulerDriver.access(to: $0, refusal: ProblemReport(.init(.init("input-differs"), "another model"))) }
    func offers(_ name: String) -> Int {
      driver.peers[name]!.received.count { if case .job = $0 { true } else { false } }
    }
    driver.pass(milliseconds: 29_000)
    #expect(offers("a") == 1 && offers("b") == 1)
    driver.pass(milliseconds: 62_000)
    #expect((3...4).contains(offers("a")) && offers("b") == 1)
    #expect(driver.held("a").isEmpty && driver.scheduler.discarded.isEmpty)
    driver.peers["a"]?.prepared = { SchedulerDriver.access(to: $0) }
    driver.pass(milliseconds: 31_000)
    #expect(driver.shards("a") == [0, 1, 2])
    // Late, or said twice by the network: what was taken on cannot be refused after that, nor can a final refusal be taken back.
    driver.say(.prepared(SchedulerDriver.access(to: JobID(1), refusal: unreachable)), as: "a")
    driver.say(.prepared(SchedulerDriver.access(to: JobID(1))), as: "b")
    #expect(driver.scheduler.discarded == ["repeated": 2] && driver.held("b").isEmpty)
    driver.work()
    #expect(driver.doneJobs == [JobID(1)])
  }

  @Test("an answer about another number of files than were offered is ignored")
  func malformedAnswer() {
    var driver = SchedulerDriver()
    driver.add()
    driver.join("a") { SchedulerDriver.access(to: $0, aligned: [.direct]) }
    #expect(driver.held("a").isEmpty)
    #expect(driver.scheduler.discarded == ["malformed": 1])
  }

  // MARK: jobs

  @Test("jobs of higher priority come first, then the older")
  func priority() {
    var driver = SchedulerDriver()
    driver.add(1, files: [3])
    driver.join("a")
    driver.add(3, files: [2])
    driver.add(2, files: [2])
    driver.add(4, files: [2], priority: 1)
    driver.work()
    #expect(driver.messages("a").granted.map(\.job.number) == [1, 1, 1, 4, 4, 2, 2, 3, 3])
  }

  @Test("a job of higher priority that comes later gets the next room")
  func overtaking() {
    var driver = SchedulerDriver()
    driver.add(1, files: [100])
    driver.join("a")
    driver.add(2, files: [100], priority: 1)
    driver.complete("a", Attempt(shard: 0))
    #expect(driver.held("a").map(\.job.number) == [1, 1, 2])
  }

  @Test("when one job fails, another goes on")
  func otherJob() {
    var driver = SchedulerDriver { $0.failureLimit = 1 }
    driver.add(1, files: [1])
    driver.add(2, files: [3])
    driver.join("a", slots: 4)
    driver.fail("a", Attempt(shard: 0))
    #expect(driver.problems.count == 1)
    #expect(driver.stoppedJobs == [JobID(1)])
    driver.work()
    driver.pass(milliseconds: 250)
    #expect(driver.doneJobs == [JobID(2)])
  }

  @Test("shards that an earlier life has finished are not granted")
  func doneBefore() {
    var driver = SchedulerDriver()
    let done = [0, 1, 3, 9].map { ($0, SchedulerDriver.digest($0)) }
    driver.add(done: Dictionary(uniqueKeysWithValues: done))
    driver.join("a", slots: 100)
    #expect(driver.shards("a").sorted() == [2, 4, 5, 6, 7, 8])
  }

  @Test("nothing is granted once the coordinator is about to end, but results count")
  func stopGranting() {
    var driver = SchedulerDriver()
    driver.add()
    driver.join("a")
    driver.handle(.stopGranting)
    driver.complete("a", Attempt(shard: 0))
    driver.fail("a", Attempt(shard: 1))
    driver.join("b")
    driver.pass(milliseconds: 10_000)
    #expect(driver.messages("a").granted.count == 3)
    #expect(driver.messages("b").granted.isEmpty)
    #expect(driver.scheduler.job(JobID(1))?.doneCount == 1)
  }

  @Test("everything is done once, and the job is over")
  func whole() {
    var driver = SchedulerDriver()
    driver.add(files: [7, 1, 20])
    for (name, slots) in [("a", 1), ("b", 3), ("c", 8)] { driver.join(name, slots: slots) }
    driver.work()
    #expect(driver.doneJobs == [JobID(1)])
    let granted = ["a", "b", "c"].flatMap { driver.messages($0).granted }
    #expect(granted.map(\.shard).sorted() == Array(0..<28))
    #expect(granted.allSatisfy { $0.attempt == 1 })
    #expect(driver.scheduler.leaseCount == 0)
    for name in ["a", "b", "c"] { #expect(driver.messages(name).contains(.forget(.init(job: JobID(1))))) }
  }
}
