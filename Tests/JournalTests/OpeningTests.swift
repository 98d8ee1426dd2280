import Diagnostics
import Digests
import Foundation
import GRDB
import SystemPackage
import TestSupport
import Testing

@testable import Journal

@Suite struct OpeningTests {
  let folder = TemporaryFolder()

  /// Makes a journal of a job with shards, closed.
  func make(shards: Int = 40) async throws {
    let journal = try Journal.open(folder.journal)
    try journal.add(job(1))
    for index in 0..<shards { try await journal.record(shard(index), of: 1) }
    journal.close()
  }

  /// Changes the file as another program.
  func edit(_ sql: String) async throws {
    var configuration = Configuration()
    configuration.foreignKeysEnabled = false
    let database = try DatabaseQueue(path: folder.journal.string, configuration: configuration)
    try await database.writeWithoutTransaction { db in try db.execute(sql: sql) }
    try database.close()
  }

  /// Opens it, expecting to be refused.
  func refusal() -> (category: Failure.Category, problem: Problem)? {
    problem { _ = try Journal.open(folder.journal, patience: 0) }
  }

  func expectRefusal(_ code: Problem.Code, _ category: Failure.Category = .badData, sourceLocation: SourceLocation = #_sourceLocation) {
    let refusal = refusal()
    #expect(refusal?.problem.code == code, sourceLocation: sourceLocation)
    #expect(refusal?.category == category, sourceLocation: sourceLocation)
    #expect(refusal?.problem.file == folder.journal.string, sourceLocation: sourceLocation)
    #expect(refusal?.problem.remedy != nil, sourceLocation: sourceLocation)
  }

  @Test("one file and its log: no memory that processes would share")
  func files() async throws {
    let journal = try Journal.open(folder.journal)
    try journal.add(job(1))
    #expect(TemporaryFolder.names(in: folder.path) == ["journal.sqlite", "journal.sqlite-wal"])
    let settings = try journal.perform { db in
      try ["locking_mode", "journal_mode", "synchronous", "foreign_keys", "application_id"].map {
        try String.fetchOne(db, sql: "PRAGMA \($0)")
      }
    }
    #expect(settings == ["exclusive", "wal", "2", "1", "\(0x4578_706D)"])
    journal.close()
    #expect(TemporaryFolder.names(in: folder.path) == ["journal.sqlite"])
  }

  @Test("the log has its size before it is used, and keeps it")
  func log() async throws {
    let journal = try Journal.open(folder.journal)
    func size() throws -> Int { try #require(TemporaryFolder.contents(folder("journal.sqlite-wal"))).count }
    let first = try size()
    #expect(first == 4 << 20)
    try journal.add(job(1))
    // More than the log has room for: it is used again from its beginning.
    for index in 0..<2000 { try await journal.record(shard(index), of: 1) }
    #expect(try size() < first + 256 << 10)
    journal.close()
  }

  @Test("what a making that was killed, or a journal that is gone, has left does no harm")
  func leftovers() async throws {
    try await make()
    let journal = try Journal.open(folder.journal)
    try journal.add(job(2))
    let log = try #require(TemporaryFolder.contents(folder("journal.sqlite-wal")))
    journal.close()
    let other = TemporaryFolder()
    other.write("garbage", to: "journal.sqlite.new")
    other.write("garbage", to: "journal.sqlite.new-journal")
    other.write(log, to: "journal.sqlite.new-wal")
    other.write(log, to: "journal.sqlite-wal")
    #expect(try Journal.open(other.journal).jobs() == [])
    #expect(TemporaryFolder.names(in: other.path).isSubset(of: ["journal.sqlite", "journal.sqlite-wal"]))
  }

  @Test("a folder that is not there is named")
  func noFolder() throws {
    let refusal = problem { _ = try Journal.open(folder("none/journal.sqlite")) }
    #expect(refusal?.category == .inputNotFound)
    #expect(refusal?.problem.file?.hasPrefix(folder("none/journal.sqlite").string) == true)
  }

  @Test("after a crash everything acknowledged is there")
  func crash() async throws {
    try await make(shards: 5)
    let journal = try Journal.open(folder.journal)
    #expect(try journal.beginEpoch(holder: "h", version: "v") == 1)
    try journal.add(job(2))
    for index in 5..<300 { try await journal.record(shard(index), of: 1) }
    try journal.setState(2, .publishing, failure: nil)
    try journal.setSynced(1, file: 4)

    let copy = try folder.crashed()
    let after = try Journal.open(copy.journal)
    #expect(try after.shards(of: 1) == (0..<300).map { shard($0) })
    #expect(try after.jobs().map(\.state) == [.running, .publishing])
    #expect(try after.syncedFiles(of: 1) == [4])
    #expect(try after.beginEpoch(holder: "h", version: "v") == 2)
    journal.close()
  }

  @Test("a log whose end is torn or damaged loses only what was in it, and nothing is half there")
  func tornLog() async throws {
    try await make(shards: 20)
    let journal = try Journal.open(folder.journal)
    var counts: [Int] = []
    for index in 20..<60 { try await journal.record(shard(index, segments: 60), of: 1) }
    let written = (0..<20).map { shard($0) } + (20..<60).map { shard($0, segments: 60) }
    // Zeros follow, which nothing was written to yet.
    let log = try #require(TemporaryFolder.contents(folder("journal.sqlite-wal")))
    let size = try #require(log.lastIndex { $0 != 0 }) + 1

    func check(_ copy: TemporaryFolder) throws {
      let shards = try Journal.open(copy.journal).shards(of: 1)
      #expect(shards.count >= 20 && shards == Array(written.prefix(shards.count)))
      counts.append(shards.count)
    }
    var generator = SystemRandomNumberGenerator()
    for _ in 0..<60 {
      let cut = Int.random(in: 0...size, using: &generator)
      try check(folder.crashed { $0.removeLast(size - cut) })
      let (place, bit) = (Int.random(in: 0..<size, using: &generator), Int.random(in: 0..<8, using: &generator))
      try check(folder.crashed { $0[place] ^= 1 << bit })
      // The length was written, the blocks were not.
      try check(folder.crashed { for index in cut..<size { $0[index] = 0 } })
    }
    #expect(Set(counts).count > 10)
    journal.close()
  }

  @Test("a journal of a newer version is refused, and left as it is")
  func newer() async throws {
    try await make()
    try await edit("INSERT INTO grdb_migrations VALUES ('99: of tomorrow')")
    expectRefusal(.journalNewer)
    try await edit("DELETE FROM grdb_migrations WHERE identifier LIKE '99%'")
    #expect(try Journal.open(folder.journal).shards(of: 1).count == 40)
  }

  @Test("files that are no database are refused", arguments: ["", "x", String(repeating: "garbage ", count: 2000)])
  func garbage(contents: String) {
    folder.write(contents, to: "journal.sqlite")
    expectRefusal(.journalInvalid)
    #expect(TemporaryFolder.contents(folder.journal) == Array(contents.utf8))
  }

  @Test("a folder in its place is refused")
  func directory() {
    folder.makeFolder(folder.journal)
    expectRefusal(.journalInvalid)
  }

  @Test("a database of another program is refused, and left as it is", arguments: ["DELETE", "WAL"])
  func foreign(mode: String) async throws {
    let database = try DatabaseQueue(path: folder.journal.string)
    try await database.writeWithoutTransaction { db in
      try db.execute(sql: "PRAGMA journal_mode = \(mode); CREATE TABLE job (number INTEGER); INSERT INTO job VALUES (1)")
    }
    try database.close()
    let before = TemporaryFolder.contents(folder.journal)
    expectRefusal(.journalInvalid)
    #expect(TemporaryFolder.contents(folder.journal) == before)
  }

  @Test("a database that was cut short is refused", arguments: [1, 99, 100, 512, 4096, 5000, 8192, 20000])
  func truncated(size: Int) async throws {
    try await make()
    let bytes = try #require(TemporaryFolder.contents(folder.journal))
    try #require(size < bytes.count)
    folder.write(Array(bytes[..<size]), to: "journal.sqlite")
    expectRefusal(.journalInvalid)
  }

  @Test("damaged pages never end the process")
  func flipped() async throws {
    try await make()
    let bytes = try #require(TemporaryFolder.contents(folder.journal))
    var generator = SystemRandomNumberGenerator()
    for _ in 0..<150 {
      var damaged = bytes
      for _ in 0..<8 { damaged[Int.random(in: 0..<bytes.count, using: &generator)] = .random(in: 0...255, using: &generator) }
      let copy = TemporaryFolder()
      copy.write(damaged, to: "journal.sqlite")
      guard let journal = try? Journal.open(copy.journal) else { continue }
      _ = try? journal.beginEpoch(holder: "h", version: "v")
      _ = try? journal.jobs()
      _ = try? journal.shards(of: 1)
      _ = try? journal.nextJobNumber()
    }
  }

  @Test("one that another connection has is refused")
  func locked() async throws {
    let journal = try Journal.open(folder.journal)
    expectRefusal(.locked, .cannotCreate)
    journal.close()
    var configuration = Configuration()
    configuration.allowsUnsafeTransactions = true
    let database = try DatabaseQueue(path: folder.journal.string, configuration: configuration)
    try await database.writeWithoutTransaction { db in try db.execute(sql: "BEGIN IMMEDIATE") }
    expectRefusal(.locked, .cannotCreate)
    try await database.writeWithoutTransaction { db in try db.execute(sql: "ROLLBACK") }
    try database.close()
    #expect(refusal() == nil)
  }

  @Test(
    "rows that nobody of ours has written are refused",
    arguments: [
      "UPDATE shard SET digest = x'00' WHERE shard = 7", "UPDATE shard SET digest = 'text'", "UPDATE shard SET bytes = -1",
      "UPDATE shard SET segments = x''", "UPDATE shard SET segments = x'02'", "UPDATE shard SET segments = x'0100'",
      "UPDATE shard SET segments = substr(segments, 1, length(segments) - 1)", "UPDATE shard SET attempt = 'many'",
      "UPDATE shard SET worker = x'00'", "UPDATE shard SET milliseconds = 1.5", "UPDATE shard SET shard = -1 WHERE shard = 3",
      "UPDATE job SET state = 'asleep'", "UPDATE job SET number = -4", "UPDATE job SET plan = zeroblob(17)",
      "UPDATE job SET recipe = '{}'", "UPDATE job SET recipe = x'FF'", "UPDATE job SET aligned_files = '[{}]'",
      #"UPDATE job SET sft_files = replace(aligned_files, '9223372036854775807', '-1')"#, "UPDATE job SET problem = '{'",
      "UPDATE job SET ended_at = 'late'", "UPDATE job SET exit_code = 3", "UPDATE job SET exit_code = 5000000000",
      "UPDATE sqlite_sequence SET seq = -1", "UPDATE sqlite_sequence SET seq = 'x'",
      "UPDATE sqlite_sequence SET seq = 9223372036854775807", "INSERT INTO epoch VALUES (9223372036854775807, 0, '', '')",
      "DROP TABLE shard", "ALTER TABLE job RENAME COLUMN plan TO plot", "DROP TABLE epoch",
    ])
  func damagedRows(sql: String) async throws {
    try await make()
    try await edit(sql)
    let problem = problem {
      let journal = try Journal.open(folder.journal)
      _ = try journal.jobs()
      _ = try journal.shards(of: 1)
      _ = try journal.nextJobNumber()
      _ = try journal.beginEpoch(holder: "h", version: "v")
    }
    #expect(problem?.problem.code == .journalInvalid)
    #expect(problem?.category == .badData)
    #expect(problem?.problem.file == folder.journal.string)
    #expect(problem?.problem.remedy != nil)
  }

  @Test("a journal of the first version is brought to this one; what it did not keep of a failure is taken for an I/O error")
  func firstVersion() throws {
    let database = try DatabaseQueue(path: folder.journal.string)
    try Schema.migrator.migrate(database, upTo: "1: epochs, jobs, shards, synced files, events")
    try database.write { db in
      let (recipe, files) = (StoredJSON.encode(job(1).recipe), StoredJSON.encode(job(1).alignedFiles))
      try db.execute(sql: "PRAGMA application_id = \(Schema.applicationID)")
      try db.execute(
        sql: "INSERT INTO job VALUES (1, 'failed', 0, 1, 2, ?, 'a', 's', 'o', '{}', zeroblob(16), ?, ?, 'n', ?)",
        arguments: [recipe, files, files, #"{"code": "c", "message": "m"}"#])
    }
    try database.close()
    let journal = try Journal.open(folder.journal)
    #expect(try journal.jobs().map(\.failure) == [Failure(.inputOutput, Problem(.init("c"), "m"))])
    try journal.setState(1, .failed, failure: Failure(.badData, Problem(.init("c"), "m")))
    #expect(try journal.jobs().map(\.failure?.category) == [.badData])
  }

  @Test("a list of segments that is cut anywhere is refused")
  func cutSegments() {
    let blob = SegmentBlob.encode((0..<4).map(segment))
    #expect(SegmentBlob.decode(blob)?.map(bits) == (0..<4).map { bits(segment($0)) })
    for size in 0..<blob.count {
      let decoded = SegmentBlob.decode(blob.prefix(size))
      #expect(decoded?.count == (size % SegmentBlob.stride == 1 ? size / SegmentBlob.stride : nil))
    }
    var negative = blob
    negative[8] = 0x80
    #expect(SegmentBlob.decode(negative) == nil)
  }
}
