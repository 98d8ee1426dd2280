import Glibc

/// Steps of a merge at which tests end the process, to see what the next run makes of what is left.
///
/// `EXPOMERGE_CRASH_AT` names the one at which the process kills itself, as a power cut would, but for the page cache.
public enum CrashPoint: String, Sendable, CaseIterable {
  /// The journal is there, and nothing in it.
  case journalMade = "journal-made"
  /// The journal has the job; its output is still to be made.
  case jobRecorded = "job-recorded"
  case filesAllocated = "files-allocated"
  /// All shards are done; nothing stands beside the weights.
  case shardsDone = "shards-done"
  case manifestWritten = "manifest-written"
  case filesSynced = "files-synced"
  case folderSynced = "folder-synced"
  /// The journal says that the folder is about to get its name.
  case publishing = "publishing"
  /// The old output is out of the way, where the two cannot be exchanged at once.
  case oldMovedAway = "old-moved-away"
  case renamed = "renamed"
  case parentSynced = "parent-synced"
  case oldRemoved = "old-removed"
  case stateRemoved = "state-removed"

  /// Ends the process if this is the chosen one.
  public func pass() { Self.pass(rawValue) }

  /// The same of a step of another kind of work.
  public static func pass(_ name: String) {
    if name == chosen { kill(getpid(), SIGKILL) }
  }

  private static let chosen = getenv("EXPOMERGE_CRASH_AT").map { String(cString: $0) }
}
