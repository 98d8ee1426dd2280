import Diagnostics
import FileIO
import Glibc
import Search
import Synchronization
import SystemPackage

/// The folder of a search: its journal, the checkpoints that are tried and those that are kept (docs/search.md). One process
/// has it at a time.
final class SearchFolder: Sendable {
  let path: FilePath
  private let lock: FileLock
  private let journal: File
  /// Of the journal, in bytes.
  private let length: Mutex<Int>
  /// What earlier runs have found.
  let outcomes: [Outcome]

  private static let journalName = "search.jsonl"
  private static let lockName = ".lock"
  static let candidatesName = "candidates"
  static let logsName = "logs"
  static let bestName = "best"
  static let sheetName = "scores.csv"

  /// Makes the folder, or takes up what is in it.
  ///
  /// - Parameters:
  ///   - identity: of what is searched now.
  ///   - inputs: folders that must not be touched.
  ///   - restarts: whether an earlier search is discarded.
  /// - Throws: `cannotCreate` where the folder is somebody else's, in use, or of another search.
  init(_ path: FilePath, identity: SearchIdentity, inputs: [FilePath], restarts: Bool, version: String) throws(Failure) {
    let directories = Directories.live
    let isNew = try directories.kind(of: path) == nil
    if isNew { try directories.makeDirectory(path) }
    let folder = try directories.resolve(path)
    self.path = folder
    do throws(Failure) {
      try Self.check(folder, inputs)
    } catch {
      if isNew { try directories.removeTree(folder) }
      throw error
    }
    lock = try FileLock.acquire(folder.appending(Self.lockName), holder: "process \(getpid())")
    let file = folder.appending(Self.journalName)
    let left = try Self.journal(file, mayBeDamaged: restarts)
    var discards = restarts
    if let left, !discards { discards = try Self.isWorthNothing(left, folder, beside: identity) }
    if discards { try Self.discard(folder, keepsCheckpoints: left?.identity.isOfSameModels(as: identity) == true) }
    journal = try File.openOrCreate(file)
    if let known = try Self.journal(file) {
      try known.identity.requireSame(identity, folder: folder.string)
      outcomes = known.outcomes
      try journal.setSize(known.length)
      length = Mutex(known.length)
    } else {
      let line = SearchJournal.line(identity, version: version)
      try journal.setSize(0)
      try journal.write(line, at: 0)
      try journal.syncData()
      try directories.sync(folder)
      try directories.sync(folder.removingLastComponent())
      outcomes = []
      length = Mutex(line.count)
    }
    SearchCrashPoint.journalMade.pass()
    for name in [Self.candidatesName, Self.logsName] { try directories.makeDirectory(folder.appending(name)) }
  }

  /// What whoever searches should know.
  var warnings: [Problem] {
    lock.isEffective
      ? []
      : [
        Problem(
          .searchUnlocked, "locks do nothing here: a second search in this folder would not be noticed", file: path.string,
          remedy: "see to it that there is only one")
      ]
  }

  private static func check(_ folder: FilePath, _ inputs: [FilePath]) throws(Failure) {
    for input in inputs {
      let input = try Directories.live.resolve(input)
      guard folder.starts(with: input) || input.starts(with: folder) else { continue }
      throw Failure(
        .cannotCreate,
        Problem(
          .searchFolderTaken, "the folder of the search and the input \(input.string) lie in each other", file: folder.string,
          remedy: "choose a folder of its own for the search"))
    }
    let names = try Directories.live.names(in: folder)
    guard names.allSatisfy({ $0 == lockName }) || names.contains(journalName) else {
      throw Failure(
        .cannotCreate,
        Problem(
          .searchFolderTaken, "the folder holds other things than a search", file: folder.string, remedy: "choose another folder"))
    }
  }

  /// Whether a search for something else has left nothing that is lost when this one takes its place: no scores, and no
  /// checkpoints but those that this one would make.
  private static func isWorthNothing(
    _ journal: SearchJournal, _ folder: FilePath, beside identity: SearchIdentity
  ) throws(Failure) -> Bool {
    guard journal.identity != identity, journal.outcomes.isEmpty else { return false }
    let candidates = folder.appending(candidatesName)
    if journal.identity.isOfSameModels(as: identity) { return true }
    if try Directories.live.kind(of: candidates) == nil { return true }
    return try Directories.live.names(in: candidates).isEmpty
  }

  /// Removes an earlier search, the journal last: until it goes, what is left of the search goes on.
  ///
  /// - Parameter keepsCheckpoints: all become candidates; what is to be merged again is there then.
  private static func discard(_ folder: FilePath, keepsCheckpoints: Bool) throws(Failure) {
    let directories = Directories.live
    let candidates = folder.appending(candidatesName)
    if !keepsCheckpoints { try directories.removeTree(candidates) }
    for name in try directories.names(in: folder) {
      let path = folder.appending(name)
      var isOurs = [logsName, sheetName].contains(name)
      if name == bestName { isOurs = try directories.isSymbolicLink(path) }
      if name.hasPrefix("alpha-"), try isComplete(path) {
        isOurs = true
        let candidate = candidates.appending(name)
        if keepsCheckpoints, try directories.kind(of: candidate) == nil {
          try directories.makeDirectory(candidates)
          try directories.rename(path, to: candidate)
          continue
        }
      }
      if isOurs { try directories.removeTree(path) }
    }
    try directories.removeTree(folder.appending(journalName))
  }

  // MARK: the journal

  /// nil where there is none, or one without a whole line.
  private static func journal(_ path: FilePath, mayBeDamaged: Bool = false) throws(Failure) -> SearchJournal? {
    guard try Directories.live.kind(of: path) != nil else { return nil }
    let bytes = try File.contents(of: path, limit: 1 << 30)
    do throws(Failure) {
      return try SearchJournal(bytes, file: path.string)
    } catch {
      if mayBeDamaged { return nil }
      throw error
    }
  }

  /// Returns when the outcome is on the disk.
  func record(_ outcome: Outcome) throws(Failure) {
    let line = SearchJournal.line(outcome)
    try length.withLock { (length) throws(Failure) in
      try journal.write(line, at: length)
      length += line.count
      // What follows is another thread's: a failed sync is told by both.
      try journal.syncData()
    }
  }
}

extension Problem.Code {
  static let searchFolderTaken = Self("search-folder-taken")
  static let searchUnlocked = Self("lock-ineffective")
}

/// Steps of a search at which tests end the process, as `CrashPoint` has those of a merge.
enum SearchCrashPoint: String, CaseIterable {
  case journalMade = "search-journal-made"
  /// Several alphas in one merge, whose checkpoints are not in their places.
  case mergedTogether = "search-merged-together"
  /// One of them is.
  case spread = "search-spread"
  /// All of a batch.
  case merged = "search-merged"
  /// The command has ended, and its score is not recorded.
  case scored = "search-scored"
  case recorded = "search-recorded"
  /// A checkpoint has lost its name and is still there.
  case discarding = "search-discarding"
  /// One that is kept has its place.
  case moved = "search-moved"
  case linked = "search-linked"
  case tidied = "search-tidied"

  func pass() { CrashPoint.pass(rawValue) }
}
