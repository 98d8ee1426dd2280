public import Diagnostics
import Digests
import GRDB
import SystemPackage

extension Journal {
  /// Records a shard that is done, in place of an earlier record of it, with the next group.
  ///
  /// - Parameter completion: called on the journal's thread, in the order of the calls: once the record is durable, or
  ///   with why it is not. Then the shard does not count as done, and later records are tried anew.
  public func record(
    _ shard: ShardRecord, of job: Int, completion: @escaping @Sendable (Result<Void, Failure>) -> Void
  ) {
    let work: @Sendable (Database) throws -> Void = { [path] db in
      guard shard.isPlausible else { throw Failure.cannotKeep("shard \(shard.shard) of job \(job): it has impossible numbers", path) }
      let insert = try db.cachedStatement(
        sql: """
          INSERT OR REPLACE INTO shard (job, shard, digest, worker, attempt, epoch, bytes, milliseconds, finished_at, segments, variants)
          VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
          """)
      try Self.execute(
        insert,
        [
          job, shard.shard, shard.digest.blob, shard.worker, shard.attempt, shard.epoch, shard.bytes, shard.milliseconds,
          shard.finishedAt, SegmentBlob.encode(shard.segments), ShardVariants(shard).map { StoredJSON.encode($0) },
        ], of: job, path)
    }
    enqueue(Entry(work: work, completion: completion))
  }

  /// The shards that are done, by number.
  public func shards(of job: Int) throws(Failure) -> [ShardRecord] {
    try perform { [path] db in
      let rows = try Row.fetchCursor(
        db,
        sql: """
          SELECT shard, digest, worker, attempt, epoch, bytes, milliseconds, finished_at, segments, variants
          FROM shard WHERE job = ? ORDER BY shard
          """, arguments: [job])
      var shards: [ShardRecord] = []
      while let row = try rows.next() { shards.append(try ShardRecord(row, in: path)) }
      return shards
    }
  }

  /// How many shards of a job are done, and the bytes of these.
  public func done(of job: Int) throws(Failure) -> (shards: Int, bytes: Int) {
    try perform { [path] db in
      let row = try Row.fetchOne(
        db, sql: "SELECT COUNT(*) AS shards, TOTAL(bytes) AS bytes FROM shard WHERE job = ?", arguments: [job])
      guard let row, let shards = Int.fromDatabaseValue(row["shards"]), let bytes = Double.fromDatabaseValue(row["bytes"]),
        (0..<0x1p62).contains(bytes)
      else { throw Failure.journalInvalid("the shards of job \(job) have impossible sizes", path) }
      return (shards, Int(bytes))
    }
  }

  /// Takes back that shards are done.
  public func forgetShards(of job: Int, in range: Range<Int>) throws(Failure) {
    try perform { db in
      try db.execute(
        sql: "DELETE FROM shard WHERE job = ? AND shard >= ? AND shard < ?",
        arguments: [job, range.lowerBound, range.upperBound])
    }
  }

  /// Notes that an output file's data are on the disk.
  public func setSynced(_ job: Int, file: Int) throws(Failure) {
    try perform { [path] db in
      guard file >= 0 else { throw Failure.cannotKeep("file \(file) of job \(job)", path) }
      let insert = try db.cachedStatement(sql: "INSERT OR REPLACE INTO synced (job, file) VALUES (?, ?)")
      try Self.execute(insert, [job, file], of: job, path)
    }
  }

  /// Takes that back: the file is written to again.
  public func forgetSynced(_ job: Int, file: Int) throws(Failure) {
    try perform { db in
      try db.execute(sql: "DELETE FROM synced WHERE job = ? AND file = ?", arguments: [job, file])
    }
  }

  /// The output files whose data are on the disk.
  public func syncedFiles(of job: Int) throws(Failure) -> Set<Int> {
    try perform { [path] db in
      let rows = try Row.fetchCursor(db, sql: "SELECT file FROM synced WHERE job = ?", arguments: [job])
      var files: Set<Int> = []
      while let row = try rows.next() {
        var reader = RowReader(row, of: "synced", in: path)
        files.insert(try reader.integer("file"))
      }
      return files
    }
  }

  /// Inserts a row of a job; one of a job that is not there fails alone.
  static func execute(_ insert: Statement, _ arguments: StatementArguments, of job: Int, _ path: FilePath) throws {
    do {
      try insert.execute(arguments: arguments)
    } catch let error as DatabaseError where error.extendedResultCode == .SQLITE_CONSTRAINT_FOREIGNKEY {
      throw Failure.jobUnknown(job, path)
    }
  }
}

extension ShardRecord {
  fileprivate init(_ row: Row, in path: FilePath) throws(Failure) {
    var reader = RowReader(row, of: "shard", in: path)
    shard = try reader.integer("shard")
    let digest = try reader.digest("digest")
    worker = try reader.text("worker")
    attempt = try reader.integer("attempt")
    epoch = try reader.integer("epoch")
    bytes = try reader.integer("bytes")
    milliseconds = try reader.integer("milliseconds")
    finishedAt = try reader.integer("finished_at", from: .min)
    guard var segments = SegmentBlob.decode(try reader.blob("segments")) else { throw reader.invalid("list of segments") }
    let variants = try reader.optionalJSON(ShardVariants.self, "variants")
    guard variants?.apply(to: &segments, digest: digest) != false else { throw reader.invalid("list of variants") }
    digests = variants?.digests ?? [digest]
    self.segments = segments
  }
}
