import Diagnostics
import FileIO
import Search
import SystemPackage

extension SearchFolder {
  private static let removedPrefix = ".removed-"
  private static let partialSuffix = ".partial"
  private static let togetherPrefix = "alphas-"

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
    let together = Set(try begunTogether().joined())
    var begun: Set<Double> = []
    for alpha in alphas {
      let isAlone = try isBegunAlone(alpha)
      if isAlone || together.contains(alpha) { begun.insert(alpha) }
    }
    return begun
  }

  func isBegunAlone(_ alpha: Double) throws(Failure) -> Bool {
    let names = try Directories.live.names(in: candidates)
    return names.contains(Self.name(alpha)) || names.contains(Self.name(alpha) + Self.partialSuffix)
  }

  // MARK: merged together

  /// Where a merge of several alphas makes them; their checkpoints are candidates once `spread` has moved them.
  func together(_ alphas: [Double]) -> FilePath {
    candidates.appending(Self.togetherPrefix + alphas.map { "\($0)" }.joined(separator: ","))
  }

  /// The alphas of merges of several that were begun, or are complete and not spread yet.
  func begunTogether() throws(Failure) -> [[Double]] {
    try Directories.live.names(in: candidates).compactMap(Self.alphas(together:))
  }

  private static func alphas(together name: String) -> [Double]? {
    guard name.hasPrefix(togetherPrefix) else { return nil }
    var list = name.dropFirst(togetherPrefix.count)
    if list.hasSuffix(partialSuffix) { list = list.dropLast(partialSuffix.count) }
    let alphas = list.split(separator: ",").map { Double($0) }
    return alphas.contains(nil) ? nil : alphas.compactMap { $0 }
  }

  /// Moves the checkpoints of merges of several alphas that are complete to where those of merges with one alpha are.
  func spread() throws(Failure) {
    for name in try Directories.live.names(in: candidates) where !name.hasSuffix(Self.partialSuffix) {
      guard let alphas = Self.alphas(together: name) else { continue }
      let folder = candidates.appending(name)
      for alpha in alphas {
        let isHere = try Self.isComplete(folder.appending(Self.name(alpha)))
        let isThere = try Self.isComplete(candidate(alpha))
        guard isHere && !isThere else { continue }
        try Directories.live.rename(folder.appending(Self.name(alpha)), to: candidate(alpha))
        SearchCrashPoint.spread.pass()
      }
      try Directories.live.sync(candidates)
      try remove(folder)
    }
  }

  /// Removes all candidates but those of some alphas.
  func sweep(except alphas: Set<Double>) throws(Failure) {
    let names = Set(alphas.map(Self.name))
    for name in try Directories.live.names(in: candidates) {
      let whole = name.hasSuffix(Self.partialSuffix) ? String(name.dropLast(Self.partialSuffix.count)) : name
      let isWanted = names.contains(whole) || Self.alphas(together: name).map { alphas.isSuperset(of: $0) } == true
      if !isWanted { try remove(candidates.appending(name)) }
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
          .cannotCreate,
          Problem(.searchFolderTaken, "is in the way of the link to the best", file: link.string, remedy: "move it away"))
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
    for name in try Directories.live.names(in: path) where name.hasPrefix("alpha-") {
      bytes += try Self.size(of: path.appending(name))
    }
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
