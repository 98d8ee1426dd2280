public import Diagnostics
import Digests
import GRDB
import Planning
import SystemPackage
import Threads

extension Journal {
  /// Counts a start on this journal: 1, 2, 3 and so on.
  ///
  /// - Parameters:
  ///   - holder: a line about this process.
  ///   - version: of expomerge.
  public func beginEpoch(holder: String, version: String) throws(Failure) -> Int {
    try perform { [path] db in
      let last = try Self.number(db, sql: "SELECT MAX(number) FROM epoch", of: "epoch", path)
      try db.execute(
        sql: "INSERT INTO epoch (number, started_at, holder, version) VALUES (?, ?, ?, ?)",
        arguments: [last + 1, wallMilliseconds(), holder, version])
      try Self.pruneEvents(db)
      return last + 1
    }
  }

  /// Adds a job under a number that was not used before this life; see `nextJobNumber`. Within it they need not come in
  /// order, as one job takes longer to prepare than another.
  public func add(_ job: JobRecord) throws(Failure) {
    try perform { [path, firstNewJob] db in
      guard (job.alignedFiles + job.sftFiles).allSatisfy({ $0.bytes >= 0 }) else {
        throw Failure.cannotKeep("job \(job.number): a file has a negative size", path)
      }
      let isUsed = try Bool.fetchOne(db, sql: "SELECT EXISTS (SELECT 1 FROM job WHERE number = ?)", arguments: [job.number])
      guard job.number >= firstNewJob, isUsed != true, job.number < 1 << 50 else {
        throw Failure.cannotKeep("job \(job.number): its number was used before, or cannot be", path)
      }
      try db.execute(
        sql: """
          INSERT INTO job (number, state, priority, submitted_at, ended_at, recipe, aligned, sft, output, options, plan,
            aligned_files, sft_files, nonce, problem, exit_code)
          VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
          """,
        arguments: [
          job.number, job.state.rawValue, job.priority, job.submittedAt, job.endedAt, StoredJSON.encode(job.recipe),
          job.aligned, job.sft, job.output, job.options, job.plan.blob, StoredJSON.encode(job.alignedFiles),
          StoredJSON.encode(job.sftFiles), job.nonce, Self.stored(job.failure), job.failure?.exitCode,
        ])
    }
  }

  /// One more than the highest that was ever used, were it of a job that is removed.
  public func nextJobNumber() throws(Failure) -> Int {
    try perform { [path] db in try Self.nextJobNumber(db, path) }
  }

  static func nextJobNumber(_ db: Database, _ path: FilePath) throws -> Int {
    let added = try number(db, sql: "SELECT seq FROM sqlite_sequence WHERE name = 'job'", of: "sqlite_sequence", path)
    return max(added, try number(db, sql: "SELECT MAX(number) FROM job", of: "job", path)) + 1
  }

  /// A number that is counted up from, 0 where there is none yet.
  private static func number(_ db: Database, sql: String, of table: String, _ path: FilePath) throws -> Int {
    guard let row = try Row.fetchOne(db, sql: sql) else { return 0 }
    var reader = RowReader(row, of: table, in: path)
    let number = try reader.optionalInteger("number") ?? 0
    guard number < 1 << 50 else { throw reader.invalid("number") }
    return number
  }

  /// All of them, by number.
  public func jobs() throws(Failure) -> [JobRecord] {
    try perform { [path] db in
      let rows = try Row.fetchCursor(
        db,
        sql: """
          SELECT number, state, priority, submitted_at, ended_at, recipe, aligned, sft, output, options, plan, aligned_files,
            sft_files, nonce, problem, exit_code
          FROM job ORDER BY number
          """)
      var jobs: [JobRecord] = []
      while let row = try rows.next() { jobs.append(try JobRecord(row, in: path)) }
      return jobs
    }
  }

  /// What has become of a job. Final states also set when it ended.
  ///
  /// - Parameter failure: why it failed, of which the first problem is kept; nil clears what was there.
  public func setState(_ job: Int, _ state: JobRecord.State, failure: Failure?) throws(Failure) {
    try perform { [path] db in
      try db.execute(
        sql: "UPDATE job SET state = ?, ended_at = ?, problem = ?, exit_code = ? WHERE number = ?",
        arguments: [
          state.rawValue, state.isFinal ? wallMilliseconds() : nil, Self.stored(failure), failure?.exitCode, job,
        ])
      if db.changesCount == 0 { throw Failure.jobUnknown(job, path) }
    }
  }

  private static func stored(_ failure: Failure?) -> String? {
    failure.map { StoredJSON.encode(StoredProblem($0.problems[0])) }
  }

  /// What else is asked for, from now on.
  public func setOptions(_ job: Int, _ options: String) throws(Failure) {
    try perform { [path] db in
      try db.execute(sql: "UPDATE job SET options = ? WHERE number = ?", arguments: [options, job])
      if db.changesCount == 0 { throw Failure.jobUnknown(job, path) }
    }
  }

  /// Removes a job with its shards and events. Its number is not used again.
  public func removeJob(_ job: Int) throws(Failure) {
    try perform { db in try db.execute(sql: "DELETE FROM job WHERE number = ?", arguments: [job]) }
  }
}

extension JobRecord {
  fileprivate init(_ row: Row, in path: FilePath) throws(Failure) {
    var reader = RowReader(row, of: "job", in: path)
    number = try reader.integer("number", from: 1)
    guard let state = State(rawValue: try reader.text("state")) else { throw reader.invalid("state") }
    self.state = state
    priority = try reader.integer("priority", from: .min)
    submittedAt = try reader.integer("submitted_at", from: .min)
    endedAt = try reader.optionalInteger("ended_at", from: .min)
    recipe = try reader.json(Recipe.self, "recipe")
    aligned = try reader.text("aligned")
    sft = try reader.text("sft")
    output = try reader.text("output")
    options = try reader.text("options")
    plan = try reader.digest("plan")
    alignedFiles = try reader.json([InputFingerprint].self, "aligned_files")
    sftFiles = try reader.json([InputFingerprint].self, "sft_files")
    guard (alignedFiles + sftFiles).allSatisfy({ $0.bytes >= 0 }) else { throw reader.invalid("size of an input") }
    nonce = try reader.text("nonce")
    let problem = try reader.optionalJSON(StoredProblem.self, "problem")?.problem
    let exitCode = try reader.optionalInteger("exit_code")
    // Not kept before version 2 of the schema.
    guard let category = exitCode.map({ Int32(exactly: $0).flatMap(Failure.Category.init) }) ?? .inputOutput else {
      throw reader.invalid("exit_code")
    }
    failure = problem.map { Failure(category, $0) }
  }
}
