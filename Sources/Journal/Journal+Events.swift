public import Diagnostics
import GRDB
import SystemPackage
import Threads

/// Something that happened, for people who ask later.
public struct EventRecord: Sendable, Equatable {
  /// Milliseconds since 1970.
  public let at: Int
  /// nil where it concerns no job.
  public let job: Int?
  public let kind: String
  public let text: String
}

extension Journal {
  /// Events that are kept of each job, and of what concerns none; up to `eventsBetweenPruning` more for a while.
  private static let keptEvents = 10_000
  private static let eventsBetweenPruning: Int64 = 1000

  /// Notes something with the next group. Nothing hangs on it: where it cannot be written it is lost. Of too many, the
  /// oldest go.
  public func addEvent(job: Int?, kind: String, text: String) {
    let now = wallMilliseconds()
    let work: @Sendable (Database) throws -> Void = { [path] db in
      let insert = try db.cachedStatement(sql: "INSERT INTO event (at, job, kind, text) VALUES (?, ?, ?, ?)")
      try Self.execute(insert, [now, job, kind, text], of: job ?? 0, path)
      // Their numbers count up.
      if db.lastInsertedRowID.isMultiple(of: Self.eventsBetweenPruning) { try Self.pruneEvents(db) }
    }
    enqueue(Entry(work: work, completion: { _ in }))
  }

  /// Removes what is older than the latest of its job.
  static func pruneEvents(_ db: Database) throws {
    try db.execute(
      sql: """
        DELETE FROM event WHERE number IN (
          SELECT number FROM (SELECT number, ROW_NUMBER() OVER (PARTITION BY job ORDER BY number DESC) AS age FROM event)
          WHERE age > ?)
        """, arguments: [Self.keptEvents])
  }

  /// What was noted of a job, or with nil what concerns none, in order.
  ///
  /// - Parameter limit: only the last so many.
  public func events(of job: Int?, limit: Int = 1000) throws(Failure) -> [EventRecord] {
    try perform { [path] db in
      let rows = try Row.fetchCursor(
        db, sql: "SELECT at, job, kind, text FROM event WHERE job IS ? ORDER BY number DESC LIMIT ?",
        arguments: [job, max(0, limit)])
      var events: [EventRecord] = []
      while let row = try rows.next() { events.append(try EventRecord(row, in: path)) }
      return events.reversed()
    }
  }
}

extension EventRecord {
  fileprivate init(_ row: Row, in path: FilePath) throws(Failure) {
    var reader = RowReader(row, of: "event", in: path)
    at = try reader.integer("at", from: .min)
    job = try reader.optionalInteger("job")
    kind = try reader.text("kind")
    text = try reader.text("text")
  }
}
