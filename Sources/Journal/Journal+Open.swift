public import Diagnostics
import FileIO
import GRDB
public import SystemPackage

extension Journal {
  /// Opens a journal, or makes it where there is none, and brings it to this version.
  ///
  /// - Throws: `journalInvalid` for what is no journal, or a damaged one; `journalNewer`; `locked` where another process
  ///   has it.
  public static func open(_ path: FilePath) throws(Failure) -> Journal {
    try open(path, patience: 5)
  }

  /// - Parameter patience: seconds to wait for another process, as somebody may be looking at it with sqlite3.
  static func open(_ path: FilePath, patience: Double) throws(Failure) -> Journal {
    // By its name only: to open and close the file would end the locks that this process has on it; fcntl(2).
    switch try Directories.live.kind(of: path) {
    case .file(size: 1...): break
    case nil: try make(path)
    // A journal appears whole, so it has lost what it held.
    case .file: throw Failure.journalInvalid("is empty", path)
    case .directory, .other: throw Failure.journalInvalid("is not a regular file", path)
    }
    try reserveLog(of: path)
    do {
      let configuration = configuration(patience) { db in
        try lock(db)
        // Refused before anything in it is changed.
        guard try Int.fetchOne(db, sql: "PRAGMA application_id") == Schema.applicationID else {
          throw Failure.journalInvalid("is an SQLite database, but not of expomerge", path)
        }
        try useLog(db, path, synchronous: "FULL")
      }
      let database = try DatabaseQueue(path: path.string, configuration: configuration)
      try database.writeWithoutTransaction { db in
        if try Schema.migrator.hasBeenSuperseded(db) {
          throw Failure(
            .badData,
            Problem(
              .journalNewer, "was written by a newer version of expomerge", file: path.string,
              remedy: "run that version, or move the journal away to start without it"))
        }
        let verdict = try String.fetchOne(db, sql: "PRAGMA quick_check(1)") ?? "no answer"
        if verdict != "ok" { throw Failure.journalInvalid("is damaged: \(verdict)", path) }
      }
      try Schema.migrator.migrate(database)
      let firstNewJob = try database.read { db in try nextJobNumber(db, path) }
      return Journal(path: path, database: database, firstNewJob: firstNewJob)
    } catch {
      throw Failure.journal(error, path)
    }
  }

  /// Makes an empty journal beside and renames it, so that one at `path` is always whole.
  private static func make(_ path: FilePath) throws(Failure) {
    let draft = FilePath(path.string + ".new")
    for suffix in ["", "-wal", "-journal", "-shm"] { try Directories.live.removeTree(FilePath(draft.string + suffix)) }
    // Fails with more telling words than SQLite.
    _ = try File.create(draft)
    do {
      let configuration = configuration(0) { db in
        try lock(db)
        // Synced once, when it is whole.
        try useLog(db, draft, synchronous: "OFF")
        try db.execute(sql: "PRAGMA application_id = \(Schema.applicationID)")
      }
      let database = try DatabaseQueue(path: draft.string, configuration: configuration)
      try Schema.migrator.migrate(database)
      try database.close()
    } catch {
      throw Failure.journal(error, draft)
    }
    try File.openForUpdate(draft).syncData()
    // Logs of a journal that is gone must not be taken for its.
    for suffix in ["-wal", "-journal"] { try Directories.live.removeTree(FilePath(path.string + suffix)) }
    try Directories.live.rename(draft, to: path)
    let folder = path.removingLastComponent()
    try Directories.live.sync(folder.isEmpty ? "." : folder)
  }

  /// Gives a log that is not there its size, in zeros, which SQLite takes for an empty one; sqlite.org/walformat.html.
  ///
  /// A log that grows changes its inode, and to sync that a filesystem like ext4 first writes what others have written to
  /// their files: here, whole shards. One that has its blocks is synced by itself. Where there is no room it has to grow.
  private static func reserveLog(of path: FilePath) throws(Failure) {
    let log = FilePath(path.string + "-wal")
    guard try Directories.live.kind(of: log) == nil else { return }
    do throws(Failure) {
      let file = try File.create(log)
      try file.write([UInt8](repeating: 0, count: 4 << 20), at: 0)
      try file.syncData()
    } catch {
      try Directories.live.removeTree(log)
    }
  }

  private static func configuration(
    _ patience: Double, _ prepare: @escaping @Sendable (Database) throws -> Void
  ) -> Configuration {
    var configuration = Configuration()
    configuration.label = "journal"
    configuration.foreignKeysEnabled = true
    // A rollback that fails must not end the process.
    configuration.allowsUnsafeTransactions = true
    configuration.busyMode = .timeout(patience)
    configuration.prepareDatabase(prepare)
    return configuration
  }

  /// Exclusive before the log is first used, so that its index is in memory and not in a file that processes would
  /// share; sqlite.org/wal.html, section 8. The rest is for files that may have been tampered with; sqlite.org/security.html.
  private static func lock(_ db: Database) throws {
    try db.execute(sql: "PRAGMA locking_mode = EXCLUSIVE; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON")
  }

  private static func useLog(_ db: Database, _ path: FilePath, synchronous: String) throws {
    try db.execute(sql: "PRAGMA synchronous = \(synchronous)")
    guard try String.fetchOne(db, sql: "PRAGMA journal_mode = WAL") == "wal" else {
      throw Failure(
        .inputOutput,
        Problem(
          .journalFailed, "SQLite cannot keep a write-ahead log here", file: path.string,
          remedy: "choose a folder on another filesystem"))
    }
    // A great group makes the log long: it is cut back after a checkpoint.
    try db.execute(sql: "PRAGMA journal_size_limit = \(64 << 20)")
  }
}
