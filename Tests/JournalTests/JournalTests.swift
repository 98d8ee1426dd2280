import Diagnostics
import Digests
import GRDB
import Kernels
import Synchronization
import TestSupport
import Testing
import Threads

@testable import Journal

@Suite struct JournalTests {
  let folder = TemporaryFolder()

  @Test("jobs are given back as they were added, after closing too")
  func jobs() throws {
    let journal = try Journal.open(folder.journal)
    var second = job(2)
    second.failure = Failure(
      .notPermitted, Problem(.jobUnknown, "a \u{0}\u{1B} message", file: "f", tensor: "t", byte: 7, remedy: "r"))
    second.recipe.alphas = [0.1 + 0.2]
    second.recipe.dtype = nil
    second.endedAt = 5
    try journal.add(job(1))
    try journal.add(second)
    #expect(try journal.jobs() == [job(1), second])
    journal.close()
    #expect(try Journal.open(folder.journal).jobs() == [job(1), second])
  }

  @Test("a state is kept with its failure, and final ones with their time", arguments: JobRecord.State.allCases)
  func states(state: JobRecord.State) throws {
    let journal = try Journal.open(folder.journal)
    try journal.add(job(1))
    let failure = Failure(.badRecipe, Problem(.journalFull, "m"))
    try journal.setState(1, state, failure: failure)
    let kept = try #require(try journal.jobs().first)
    #expect(kept.state == state && kept.failure == failure && (kept.endedAt != nil) == state.isFinal)
    try journal.setState(1, .running, failure: nil)
    #expect(try journal.jobs() == [job(1)])
    #expect(JournalTests.code { try journal.setState(2, .running, failure: nil) } == .jobUnknown)
  }

  @Test("numbers of jobs are not used again")
  func numbers() throws {
    var journal = try Journal.open(folder.journal)
    #expect(try journal.nextJobNumber() == 1)
    for number in [1, 2, 5] { try journal.add(job(number)) }
    try journal.removeJob(5)
    try journal.removeJob(2)
    try journal.removeJob(2)
    #expect(try journal.nextJobNumber() == 6)
    // A job that was begun before others may be ready after them.
    try journal.add(job(4))
    for number in [-1, 0, 1, 4, 1 << 50] {
      #expect(throws: Failure.self) { try journal.add(job(number)) }
    }
    journal.close()
    journal = try Journal.open(folder.journal)
    #expect(try journal.nextJobNumber() == 6)
    for number in [1, 2, 3, 5] { #expect(throws: Failure.self) { try journal.add(job(number)) } }
    #expect(try journal.jobs().map(\.number) == [1, 4])
  }

  @Test("each start has the next epoch")
  func epochs() throws {
    for epoch in 1...3 {
      let journal = try Journal.open(folder.journal)
      #expect(try journal.beginEpoch(holder: "process \(epoch)", version: "0.1.0") == epoch)
      journal.close()
    }
    let rows = try DatabaseQueue(path: folder.journal.string).read { db in
      try Row.fetchAll(db, sql: "SELECT number, holder, version, started_at > 0 AS timed FROM epoch ORDER BY number")
    }
    #expect(rows == (1...3).map { (epoch: Int) -> Row in ["number": epoch, "holder": "process \(epoch)", "version": "0.1.0", "timed": 1] })
  }

  @Test("shards are given back bit for bit")
  func shards() async throws {
    var odd = shard(7)
    let values: [UInt64] = [
      0x7FF0_0000_0000_0000, 0xFFF0_0000_0000_0000, 0x7FF8_0000_0000_0000, 0xFFF4_0000_DEAD_BEEF, 1, 1 << 63,
    ]
    odd.segments = values.map {
      var segment = segment(1 << 40)
      let value = Double(bitPattern: $0)
      segment.sums.deltaSquared = value
      segment.sums.alignedSquared = value
      segment.sums.sftSquared = value
      segment.sums.dot = value
      segment.sums.largestDelta = value
      segment.sums.elements = .max
      segment.sums.overflows = $0
      segment.differingBytes = .max - 1
      return segment
    }
    var extreme = shard(.max, segments: 0)
    extreme.digests = [Digest128(high: .max, low: 0)]
    extreme.bytes = .max
    extreme.finishedAt = .min
    extreme.worker = ""
    let many = shard(8, segments: 5000)
    let journal = try Journal.open(folder.journal)
    try journal.add(job(1))
    try journal.add(job(2))
    var variants = shard(9, segments: 3)
    variants.digests = [digest(1), digest(2), digest(3)]
    variants.segments[1].others = [OutputCounts(nonFinite: 1, overflows: .max), OutputCounts(nonFinite: 2)]
    for record in [many, extreme, odd, variants] { try await journal.record(record, of: 1) }
    journal.close()

    let reopened = try Journal.open(folder.journal)
    let kept = try reopened.shards(of: 1)
    #expect(kept.map(\.shard) == [7, 8, 9, .max])
    #expect(kept[0].segments.map(bits) == odd.segments.map(bits))
    #expect(kept[1...] == [many, variants, extreme])
    #expect(try reopened.shards(of: 2) == [])
  }

  @Test("a digest is kept as it is printed")
  func digests() async throws {
    let journal = try Journal.open(folder.journal)
    try journal.add(job(1))
    try await journal.record(shard(3), of: 1)
    journal.close()
    let hex = try await DatabaseQueue(path: folder.journal.string).read { db in
      try String.fetchOne(db, sql: "SELECT lower(hex(digest)) FROM shard")
    }
    #expect(hex == digest(3).description)
  }

  @Test("a shard that was computed again takes the place of the one before")
  func replacement() async throws {
    let journal = try Journal.open(folder.journal)
    try journal.add(job(1))
    try await journal.record(shard(3, attempt: 1, segments: 9), of: 1)
    try await journal.record(shard(3, attempt: 2, segments: 1), of: 1)
    #expect(try journal.shards(of: 1) == [shard(3, attempt: 2, segments: 1)])
  }

  @Test("shards are forgotten in a range of one job, and what is synced is not touched")
  func forgetting() async throws {
    let journal = try Journal.open(folder.journal)
    for number in 1...2 {
      try journal.add(job(number))
      for index in 0..<6 { try await journal.record(shard(index), of: number) }
      for file in 0..<3 { try journal.setSynced(number, file: file) }
      try journal.setSynced(number, file: 2)
    }
    try journal.forgetShards(of: 1, in: 2..<5)
    try journal.forgetShards(of: 1, in: 0..<0)
    #expect(try journal.shards(of: 1).map(\.shard) == [0, 1, 5])
    #expect(try journal.shards(of: 2).count == 6)
    #expect(try journal.syncedFiles(of: 1) == [0, 1, 2])
    try journal.forgetSynced(1, file: 1)
    try journal.forgetSynced(1, file: 9)
    #expect(try journal.syncedFiles(of: 1) == [0, 2])
    #expect(try journal.syncedFiles(of: 2) == [0, 1, 2])
  }

  @Test("what is asked for later sees what was recorded before, durable or not")
  func order() throws {
    let journal = try Journal.open(folder.journal)
    try journal.add(job(1))
    let hold = journal.hold(of: 1)
    let outcomes = Outcomes()
    for index in 0..<10 { journal.record(shard(index), of: 1, completion: outcomes.add(index)) }
    hold.release()
    try journal.forgetShards(of: 1, in: 0..<8)
    #expect(outcomes.now.count == 10)
    #expect(try journal.shards(of: 1).map(\.shard) == [8, 9])
  }

  @Test("a job goes with its shards, files and events")
  func removal() async throws {
    let journal = try Journal.open(folder.journal)
    for number in 1...2 {
      try journal.add(job(number))
      try await journal.record(shard(0), of: number)
      try journal.setSynced(number, file: 0)
      journal.addEvent(job: number, kind: "k", text: "t")
    }
    try journal.removeJob(1)
    #expect(try journal.shards(of: 1).isEmpty && journal.syncedFiles(of: 1).isEmpty && journal.events(of: 1).isEmpty)
    #expect(try journal.shards(of: 2).count == 1 && journal.syncedFiles(of: 2) == [0] && journal.events(of: 2).count == 1)
  }

  @Test("a late record of a job that is gone fails alone")
  func unknownJob() throws {
    let journal = try Journal.open(folder.journal)
    try journal.add(job(1))
    let hold = journal.hold(of: 1)
    let outcomes = Outcomes()
    journal.record(shard(1), of: 1, completion: outcomes.add(1))
    journal.record(shard(2), of: 9, completion: outcomes.add(2))
    journal.addEvent(job: 9, kind: "k", text: "t")
    var negative = shard(3)
    negative.segments[0].pair = -1
    journal.record(negative, of: 1, completion: outcomes.add(3))
    journal.record(shard(4), of: 1, completion: outcomes.add(4))
    hold.release()
    let all = outcomes.wait(for: 4)
    #expect(all.map(\.shard) == [1, 2, 3, 4])
    #expect(all.map { $0.failure?.problems[0].code } == [nil, .jobUnknown, .journalFailed, nil])
    #expect(try journal.shards(of: 1).map(\.shard) == [0, 1, 4])
    #expect(JournalTests.code { try journal.setSynced(9, file: 0) } == .jobUnknown)
    #expect(throws: Failure.self) { try journal.setSynced(1, file: -1) }
  }

  @Test("of the events of a job, and of those that concern none, the latest are kept at each start", arguments: [nil, 1])
  func oldEvents(job many: Int?) throws {
    let journal = try Journal.open(folder.journal)
    try journal.add(job(1))
    journal.addEvent(job: many == nil ? 1 : nil, kind: "k", text: "of another")
    for number in 0..<10_010 { journal.addEvent(job: many, kind: "k", text: "\(number)") }
    _ = try journal.beginEpoch(holder: "h", version: "v")
    let kept = try journal.events(of: many, limit: 20_000)
    #expect(kept.count == 10_000 && kept.first?.text == "10")
    #expect(try journal.events(of: many == nil ? 1 : nil).count == 1)
  }

  @Test("in one life events are kept up to a bound, however many there are, and the latest are among them", arguments: [nil, 1])
  func manyEvents(job many: Int?) throws {
    let journal = try Journal.open(folder.journal)
    try journal.add(job(1))
    for number in 0..<34_567 { journal.addEvent(job: many, kind: "k", text: "\(number)") }
    let kept = try journal.events(of: many, limit: 100_000)
    #expect((10_000...11_000).contains(kept.count))
    #expect(kept.map(\.text) == (34_567 - kept.count..<34_567).map(String.init))
  }

  @Test("events are kept in order, those of jobs apart")
  func events() throws {
    let journal = try Journal.open(folder.journal)
    try journal.add(job(1))
    for number in 0..<5 {
      journal.addEvent(job: nil, kind: "coordinator", text: "\(number)")
      journal.addEvent(job: 1, kind: "shard", text: "\(number)")
    }
    #expect(try journal.events(of: 1).map(\.text) == ["0", "1", "2", "3", "4"])
    let last = try journal.events(of: nil, limit: 2)
    #expect(last.map(\.text) == ["3", "4"])
    #expect(last.allSatisfy { $0.job == nil && $0.kind == "coordinator" && $0.at > 0 })
  }

  @Test("thousands of records of several threads are all kept, and completed in each one's order")
  func threads() throws {
    let (threads, each) = (4, 2000)
    let journal = try Journal.open(folder.journal)
    try journal.add(job(1))
    let outcomes = (0..<threads).map { _ in Outcomes() }
    ThreadTeam.run(count: threads) { thread in
      for index in 0..<each {
        let number = thread * each + index
        journal.record(shard(number, segments: 1), of: 1, completion: outcomes[thread].add(number))
      }
    }
    for thread in 0..<threads {
      let all = outcomes[thread].wait(for: each)
      #expect(all.map(\.shard) == Array(thread * each..<(thread + 1) * each))
      #expect(all.allSatisfy { $0.failure == nil })
    }
    #expect(try journal.shards(of: 1) == (0..<threads * each).map { shard($0, segments: 1) })
  }

  @Test("a full disk fails a group as a whole, and later records are tried anew")
  func full() async throws {
    let journal = try Journal.open(folder.journal)
    try journal.add(job(1))
    try journal.perform { db in try db.execute(sql: "PRAGMA max_page_count = 1") }
    let hold = journal.hold(of: 1)
    let outcomes = Outcomes()
    // The first would have had its place.
    for index in 1...200 { journal.record(shard(index), of: 1, completion: outcomes.add(index)) }
    hold.release()
    let all = outcomes.wait(for: 200)
    #expect(all.map(\.shard) == Array(1...200))
    for (_, failure) in all {
      #expect(failure?.category == .interrupted)
      #expect(failure?.problems[0].code == .journalFull)
      #expect(failure?.problems[0].file == folder.journal.string)
      #expect(failure?.problems[0].remedy != nil)
    }
    #expect(try journal.shards(of: 1).map(\.shard) == [0])
    #expect(problem { try journal.add(job(2)); try journal.add(fat) }?.category == .interrupted)

    try journal.perform { db in try db.execute(sql: "PRAGMA max_page_count = 1000000") }
    for index in 1...200 { try await journal.record(shard(index), of: 1) }
    #expect(try journal.shards(of: 1).count == 201)
  }

  private var fat: JobRecord {
    var fat = job(3)
    fat.options = String(repeating: "x", count: 100_000)
    return fat
  }

  @Test("closing completes what waits; later calls fail")
  func closing() throws {
    let journal = try Journal.open(folder.journal)
    try journal.add(job(1))
    let hold = journal.hold(of: 1)
    let outcomes = Outcomes()
    for index in 1...500 { journal.record(shard(index), of: 1, completion: outcomes.add(index)) }
    let team = ThreadTeam(count: 2) { _ in journal.close() }
    // Until the journal says that it is closed; then it can be nowhere but waiting.
    let probes = Outcomes()
    var tried = 0
    while !probes.now.contains(where: { $0.failure != nil }) {
      journal.record(shard(1), of: 1, completion: probes.add(tried))
      tried += 1
    }
    #expect(outcomes.now.isEmpty)
    hold.release()
    team.wait()
    journal.close()
    #expect(outcomes.now.map(\.shard) == Array(1...500))
    #expect(outcomes.now.allSatisfy { $0.failure == nil })
    #expect(probes.now.compactMap(\.failure).map { $0.problems[0].code } == [.journalClosed])
    #expect(probes.now.count == tried)

    #expect(JournalTests.code { try journal.add(job(2)) } == .journalClosed)
    #expect(JournalTests.code { _ = try journal.jobs() } == .journalClosed)
    journal.addEvent(job: nil, kind: "k", text: "t")
    #expect(TemporaryFolder.names(in: folder.path) == ["journal.sqlite"])
    #expect(try Journal.open(folder.journal).shards(of: 1).count == 501)
  }

  @Test("a journal that nobody holds any more does what was asked of it")
  func dropped() throws {
    let outcomes = Outcomes()
    do {
      let journal = try Journal.open(folder.journal)
      try journal.add(job(1))
      for index in 0..<500 { journal.record(shard(index), of: 1, completion: outcomes.add(index)) }
    }
    #expect(outcomes.wait(for: 500).allSatisfy { $0.failure == nil })
  }

  static func code(_ body: () throws -> Void) -> Problem.Code? { problem(body)?.problem.code }
}
