public import Diagnostics
import FileIO
import GRDB
import Glibc
import SystemPackage

extension Problem.Code {
  /// Not a journal, or a damaged one.
  public static let journalInvalid = Self("journal-invalid")
  /// Written by a newer version.
  public static let journalNewer = Self("journal-newer")
  public static let journalFull = Self("journal-full")
  /// It could not be read or written.
  public static let journalFailed = Self("journal-failed")
  /// It was closed before.
  public static let journalClosed = Self("journal-closed")
  public static let jobUnknown = Self("job-unknown")
}

extension Failure {
  static func journalInvalid(_ message: String, _ path: FilePath) -> Failure {
    Failure(
      .badData,
      Problem(
        .journalInvalid, message, file: path.string,
        remedy: "restore it from a copy, or move it and its -wal file away to start without it"))
  }

  static func jobUnknown(_ job: Int, _ path: FilePath) -> Failure {
    Failure(
      .internalError,
      Problem(.jobUnknown, "has no job \(job)", file: path.string, remedy: "it was removed, or never added"))
  }

  /// What was to be recorded could not be read back.
  static func cannotKeep(_ what: String, _ path: FilePath) -> Failure {
    Failure(
      .internalError,
      Problem(.journalFailed, "cannot keep \(what)", file: path.string, remedy: "report this as a bug, with the log"))
  }

  /// What SQLite, or a step on the way, reported.
  ///
  /// - Parameter systemError: errno, as SQLite takes only ENOSPC of a write for a full disk. It may be stale for other errors.
  static func journal(_ error: any Error, _ path: FilePath, systemError: Int32 = 0) -> Failure {
    if let failure = error as? Failure { return failure }
    // Else a value that is not what its column holds.
    guard let error = error as? DatabaseError else { return journalInvalid("is damaged: \(error)", path) }
    let number = error.extendedResultCode.rawValue
    let reason = "\(error.message ?? "unknown error") (SQLite error \(number))"
    switch error.resultCode {
    case .SQLITE_NOTADB:
      return journalInvalid("is no SQLite database", path)
    // An error of SQL, as each statement is a constant: a table is not what it was made.
    case .SQLITE_CORRUPT, .SQLITE_FORMAT, .SQLITE_ERROR, .SQLITE_CONSTRAINT, .SQLITE_MISMATCH:
      return journalInvalid("is damaged: \(reason)", path)
    case .SQLITE_BUSY, .SQLITE_LOCKED:
      return Failure(
        .cannotCreate,
        Problem(
          .locked, "is in use by another process", file: path.string,
          remedy: "wait for it to finish, or stop it; it may be sqlite3"))
    case .SQLITE_FULL:
      return full(path, reason)
    // A quota, or a network filesystem that tells when the log is synced.
    case .SQLITE_IOERR where systemError == ENOSPC || systemError == EDQUOT:
      return full(path, "\(reason): \(String(cString: strerror(systemError)))")
    default:
      return Failure(
        .inputOutput,
        Problem(
          .journalFailed, "cannot be read or written: \(reason)", file: path.string,
          remedy: "check the disk, the filesystem and the file's mode, then run again; what was recorded before is kept"))
    }
  }

  private static func full(_ path: FilePath, _ reason: String) -> Failure {
    Failure(
      .interrupted,
      Problem(
        .journalFull, "there is no space left for the journal: \(reason)", file: path.string,
        remedy: "free some space and run again; what was recorded before is kept"))
  }
}
