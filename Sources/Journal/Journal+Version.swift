public import Diagnostics
import GRDB
import SystemPackage

extension Journal {
  /// SQLite's, as in `3.46.1`.
  public static func libraryVersion() throws(Failure) -> String {
    do {
      return try DatabaseQueue().read { db in try String.fetchOne(db, sql: "SELECT sqlite_version()") ?? "unknown" }
    } catch {
      throw Failure.journal(error, ":memory:")
    }
  }
}
