public import Diagnostics
import Glibc

extension Problem.Code {
  public static let fileNotFound = Self("file-not-found")
  public static let permissionDenied = Self("permission-denied")
  public static let noSpace = Self("no-space")
  public static let alreadyExists = Self("already-exists")
  public static let readFailed = Self("read-failed")
  public static let writeFailed = Self("write-failed")
  public static let syncFailed = Self("sync-failed")
  public static let systemCallFailed = Self("system-call-failed")
  public static let fileTruncated = Self("file-truncated")
  public static let locked = Self("locked")
}

extension Failure {
  /// The failure of a system call on a file, in words.
  ///
  /// - Parameters:
  ///   - action: what was tried, as in "cannot `action`".
  ///   - code: the problem's code where errno does not give a more telling one.
  package static func system(
    _ action: String, file: String, code: Problem.Code = .systemCallFailed, byte: Int? = nil, errno number: Int32
  ) -> Failure {
    let reason = String(cString: strerror(number))
    let (category, problemCode, remedy): (Category, Problem.Code, String?) =
      switch number {
      case ENOENT, ENOTDIR:
        (.inputNotFound, .fileNotFound, "check the path")
      case EACCES, EPERM, EROFS:
        (.notPermitted, .permissionDenied, "check who owns it and its mode")
      case ENOSPC, EDQUOT:
        (.inputOutput, .noSpace, "free some space or choose another place for the output")
      case EEXIST, ENOTEMPTY:
        (.cannotCreate, .alreadyExists, nil)
      case EMFILE, ENFILE:
        (.inputOutput, .systemCallFailed, "raise the limit on open files (ulimit -n)")
      default:
        (.inputOutput, code, nil)
      }
    return Failure(
      category, Problem(problemCode, "cannot \(action): \(reason)", file: file, byte: byte, remedy: remedy))
  }
}
