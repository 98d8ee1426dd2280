public import Diagnostics
import FileIO
import Glibc
public import Journal
public import SystemPackage
import Worker

/// The folder that a coordinator keeps what outlives it in: a lock against a second one, and the journal.
public struct StateFolder: ~Copyable {
  public let journal: Journal
  /// The number of this life; grows by one with each start.
  public let epoch: Int
  private let lock: FileLock

  /// Whether a second coordinator on the folder is kept out.
  public var locksWork: Bool { lock.isEffective }

  private init(journal: Journal, epoch: Int, lock: consuming FileLock) {
    self.journal = journal
    self.epoch = epoch
    self.lock = lock
  }

  /// Opens the folder, or makes it, and counts this start.
  ///
  /// - Throws: `locked`, naming the holder, where another coordinator has it.
  public static func open(_ path: FilePath) throws(Failure) -> StateFolder {
    try Directories.live.makeDirectory(path)
    let holder = "process \(getpid()) on \(hostName)"
    let lock = try FileLock.acquire(path.appending("lock"), holder: holder)
    let journal = try Journal.open(Directories.live.resolve(path).appending("journal.sqlite"))
    let epoch = try journal.beginEpoch(holder: holder, version: expomergeVersion)
    return StateFolder(journal: journal, epoch: epoch, lock: lock)
  }
}
