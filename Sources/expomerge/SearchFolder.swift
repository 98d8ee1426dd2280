import Diagnostics
import FileIO
import Glibc
import Search
import Synchronization
import SystemPackage

/// The folder of a search: its journal, the checkpoints that are tried and those that are kept (docs/search.md). One process has it
/// at a time.
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
  private static let candidatesName = "candidates"
  private static let removedPrefix = ".removed-"
  private static let partialSuffix = ".partial"
  private static let logsName = "logs"
  private static let bestName = "best"
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
    if try directories.kind(of: path) == nil { try directories.makeDirectory(path) }
    let folder = try directories.resolve(path)
    self.path = folder
    try Self.check(folder, inputs)
    lock = try FileLock.acquire(folder.appending(Self.lockName), holder: "process \(getpid())")
    let file = folder.appending(Self.journalName)
    if restarts { try Self.discard(folder) }
    journal = try File.openOrCreate(file)
    let bytes = try journal.read(at: 0, count: try journal.status().size)
    let known = try SearchJournal(bytes, file: file.string)
    if let known {
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
        Problem(.searchFolderTaken, "the folder holds other things than a search", file: folder.string, remedy: "choose another folder"))
    }
  }

  /// Removes an earlier search, the journal last: until it goes, what is left of the search goes on.
  private static func discard(_ folder: FilePath) throws(Failure) {
    let directories = Directories.live
    for name in try directories.names(in: folder) {
      let path = folder.appending(name)
      var isOurs = [candidatesName, logsName, sheetName].contains(name)
      if name.hasPrefix("alpha-") { isOurs = try isComplete(path) }
      if name == bestName { isOurs = try directories.isSymbolicLink(path) }
      if isOurs { try directories.removeTree(path) }
    }
    try directories.removeTree(folder.appending(journalName))
  }

  // MARK: the journal

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

  // MARK: checkpoints

  static func name(_ alpha: Double) -> String { "alpha-\(alpha)" }

  var candidates: FilePath { path.appending(Self.candidatesName) }
  func candidate(_ alpha: Double) -> FilePath { candidates.appending(Self.name(alpha)) }
  /// Where a checkpoint that is kept is at the end.
  func kept(_ alpha: Double) -> FilePath { path.appending(Self.name(alpha)) }
  func log(_ alpha: Double, _ suffix: String) -> FilePath {
    path.appending(Self.logsName).appending("\(Self.name(alpha)).\(suffix)")
  }

  /// Whether a checkpoint was published there.
  static func isComplete(_ checkpoint: FilePath) throws(Failure) -> Bool {
    try Directories.live.kind(of: checkpoint.appending("expomerge.json")) != nil
  }

  func isKept(_ alpha: Double) throws(Failure) -> Bool { try Self.isComplete(kept(alpha)) }

  /// Those of some alphas whose merges were begun, or are complete.
  func begun(_ alphas: [Double]) throws(Failure) -> Set<Double> {
    let names = try Set(Directories.live.names(in: candidates))
    return Set(alphas.filter { names.contains(Self.name($0)) || names.contains(Self.name($0) + Self.partialSuffix) })
  }

  /// Removes all candidates but those of some alphas.
  func sweep(except alphas: Set<Double>) throws(Failure) {
    let names = Set(alphas.map(Self.name))
    for name in try Directories.live.names(in: candidates) {
      let whole = name.hasSuffix(Self.partialSuffix) ? String(name.dropLast(Self.partialSuffix.count)) : name
      if !names.contains(whole) { try remove(candidates.appending(name)) }
    }
  }

  /// Removes checkpoints that were kept by earlier runs, but for some.
  func discardKept(except alphas: [Double]) throws(Failure) {
    for alpha in Set(outcomes.map(\.alpha)).subtracting(alphas) where try isKept(alpha) { try remove(kept(alpha)) }
  }

  /// How many there are.
  func keptCount(except alphas: [Double]) throws(Failure) -> Int {
    var count = 0
    for alpha in Set(outcomes.map(\.alpha)).subtracting(alphas) where try isKept(alpha) { count += 1 }
    return count
  }

  /// Removes a checkpoint. It loses its name first, so that no part of it is ever taken for all.
  private func remove(_ checkpoint: FilePath) throws(Failure) {
    guard let name = checkpoint.lastComponent?.string else { return }
    var doomed = checkpoint
    if !name.hasPrefix(Self.removedPrefix) {
      doomed = candidates.appending(Self.removedPrefix + name)
      try Directories.live.removeTree(doomed)
      try Directories.live.rename(checkpoint, to: doomed)
    }
    SearchCrashPoint.discarding.pass()
    try Directories.live.removeTree(doomed)
  }

  /// Gives the checkpoints that are kept their places, and the best its second name; removes all others.
  ///
  /// - Parameter alphas: best first.
  func publish(_ alphas: [Double]) throws(Failure) {
    for alpha in alphas where try !isKept(alpha) {
      try Directories.live.rename(candidate(alpha), to: kept(alpha))
      SearchCrashPoint.moved.pass()
    }
    if let best = alphas.first {
      let link = path.appending(Self.bestName)
      let isFree = try Directories.live.kind(of: link) == nil
      let isLink = try Directories.live.isSymbolicLink(link)
      guard isFree || isLink else {
        throw Failure(
          .cannotCreate, Problem(.searchFolderTaken, "is in the way of the link to the best", file: link.string, remedy: "move it away"))
      }
      try Directories.live.link(link, to: Self.name(best))
    }
    try Directories.live.sync(path)
    SearchCrashPoint.linked.pass()
    try discardKept(except: alphas)
    try Directories.live.removeTree(candidates)
    SearchCrashPoint.tidied.pass()
  }

  /// Where a checkpoint is, from this folder.
  func place(_ alpha: Double) -> String {
    (try? isKept(alpha)) == true ? Self.name(alpha) : "\(Self.candidatesName)/\(Self.name(alpha))"
  }

  /// Writes the scores for people and programs, at once.
  func writeSheet(_ text: String) throws(Failure) {
    let new = path.appending(".\(Self.sheetName).new")
    try File.create(new).write(Array(text.utf8), at: 0)
    try Directories.live.rename(new, to: path.appending(Self.sheetName))
  }

  // MARK: space

  /// Bytes of all checkpoints in it, finished or not.
  func usedBytes() throws(Failure) -> Int {
    var bytes = try Self.size(of: candidates)
    for name in try Directories.live.names(in: path) where name.hasPrefix("alpha-") { bytes += try Self.size(of: path.appending(name)) }
    return bytes
  }

  /// Bytes that an ordinary user can still write there.
  var freeBytes: Int { FileSystemKind(at: path)?.availableBytes ?? .max / 2 }

  private static func size(of path: FilePath) throws(Failure) -> Int {
    switch try Directories.live.kind(of: path) {
    case .file(let size): return size
    case .directory:
      var bytes = 0
      for entry in try Directories.live.entries(in: path) { bytes += try size(of: path.appending(entry)) }
      return bytes
    default: return 0
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
