import Checkpoint
public import Diagnostics
import Digests
import Figures
import FileIO
import Glibc
import Planning
public import SystemPackage

extension Problem.Code {
  public static let outputExists = Self("output-exists")
  public static let outputIsInput = Self("output-is-input")
  public static let partialExists = Self("partial-exists")
  public static let lockIneffective = Self("lock-ineffective")
  /// The partial folder belongs to a job of a coordinator.
  public static let partialOfJob = Self("partial-of-job")
}

/// Where a merge is made: `OUTPUT.partial/`, which becomes `OUTPUT/` by one rename when all is done.
///
/// `OUTPUT.partial/.expomerge/lock` is held from the first look at the folder until after the rename, so that of two
/// merges into one folder the second does nothing.
public struct OutputFolder: ~Copyable {
  /// What may be thrown away.
  public struct Permissions: Sendable {
    /// A checkpoint at `OUTPUT` is replaced.
    public var overwrite: Bool
    /// What an interrupted merge left in `OUTPUT.partial` is removed.
    public var restart: Bool

    public init(overwrite: Bool = false, restart: Bool = false) {
      self.overwrite = overwrite
      self.restart = restart
    }
  }

  /// Who may go on with what is in the folder.
  enum Owner {
    /// A merge of its own, whose journal lies in the folder.
    case merge
    /// A job of a coordinator, whose journal lies elsewhere.
    case job(Int, journal: FilePath)

    /// Of a job.
    var name: String? {
      guard case .job(let number, let journal) = self else { return nil }
      return Self.start(of: number) + journal.string
    }

    private static func start(of number: Int) -> String { "job \(number) of the coordinator with the journal " }

    /// Whether that is its name, or was before its journal was moved to where it is now.
    func isCalled(_ other: String) -> Bool {
      guard case .job(let number, _) = self, let name else { return false }
      if name == other { return true }
      let start = Self.start(of: number)
      return other.hasPrefix(start) && (try? Directories.live.kind(of: FilePath(String(other.dropFirst(start.count))))) == nil
    }
  }

  public let output: FilePath
  public let partial: FilePath
  /// Whether what an interrupted merge has left is in it.
  let isResumed: Bool
  private let permissions: Permissions
  private let owner: Owner
  private let directories: Directories
  private let calls: SystemCalls
  private let lock: FileLock

  static let stateName = ".expomerge"
  static let journalName = "journal.sqlite"
  private static let ownerName = "owner"
  private static let replacedName = "replaced"

  /// What whoever merges should know.
  var warnings: [Problem] {
    lock.isEffective
      ? []
      : [
        Problem(
          .lockIneffective, "locks do nothing here: a second merge into this folder would not be noticed",
          file: partial.string, remedy: "see to it that there is only one")
      ]
  }

  /// Of a merge of its own.
  var journal: FilePath { partial.appending(Self.stateName).appending(Self.journalName) }

  /// Checks that the merge may write here, and makes the partial folder.
  ///
  /// - Parameters:
  ///   - inputs: folders and files that must not be touched.
  ///   - owner: who fills it.
  ///   - resumes: whether a job goes on with what it has left; a merge of its own finds out by its journal.
  /// - Throws: `cannotCreate`.
  static func create(
    _ path: FilePath, inputs: [FilePath], permissions: Permissions, owner: Owner = .merge, resumes: Bool = false,
    calls: SystemCalls = .live
  ) throws(Failure) -> OutputFolder {
    do throws(Failure) {
      return try checkAndCreate(path, inputs, permissions, owner, resumes, calls)
    } catch {
      throw error.aboutOutput
    }
  }

  private static func checkAndCreate(
    _ path: FilePath, _ inputs: [FilePath], _ permissions: Permissions, _ owner: Owner, _ resumes: Bool,
    _ calls: SystemCalls
  ) throws(Failure) -> OutputFolder {
    let directories = Directories(calls: calls)
    let (output, partial) = try places(path, directories)
    // It was there when the job began. To make it again would be to fill the disk below a place that is not mounted.
    if resumes, try directories.kind(of: output.removingLastComponent()) == nil {
      throw refusal(
        .fileNotFound, "the folder of the output is not there any more", output.removingLastComponent(),
        remedy: "mount it, or make it")
    }
    for input in inputs {
      let input = try directories.resolve(input)
      for made in [output, partial] where made.starts(with: input) || input.starts(with: made) {
        throw refusal(
          .outputIsInput, "the output and the input \(input.string) lie in each other", made,
          remedy: "choose a folder of its own for the output")
      }
    }
    try checkExisting(output, path, permissions, directories)

    let state = partial.appending(stateName)
    if try directories.kind(of: partial) != nil, try !directories.isEmptyFolder(partial),
      try directories.kind(of: state) != .directory
    {
      throw refusal(
        .partialExists, "this folder is in the way, and expomerge has not made it", partial,
        remedy: "move it away, or choose another output")
    }
    try directories.makeDirectory(state)
    for path in [state] + (try directories.names(in: state)).map({ state.appending($0) })
    where try directories.isSymbolicLink(path) {
      throw refusal(.partialExists, "is a link, which expomerge has not made", path, remedy: "remove it")
    }
    let lock = try FileLock.acquire(state.appending("lock"), holder: holder, calls: calls)
    let isResumed = try checkLeftovers(partial, permissions, owner, resumes, directories)
    return OutputFolder(
      output: output, partial: partial, isResumed: isResumed, permissions: permissions, owner: owner,
      directories: directories, calls: calls, lock: lock)
  }

  /// OUTPUT, links followed, and OUTPUT.partial.
  static func places(
    _ path: FilePath, _ directories: Directories = .live
  ) throws(Failure) -> (output: FilePath, partial: FilePath) {
    let output = try resolved(path, directories)
    guard let name = output.lastComponent?.string else {
      throw refusal(.outputExists, "is not the path of a new folder", path, remedy: "name a folder inside it")
    }
    return (output, output.removingLastComponent().appending(name + ".partial"))
  }

  /// Decides about what an earlier merge has left: whether it is gone on with, or removed, or refused.
  private static func checkLeftovers(
    _ partial: FilePath, _ permissions: Permissions, _ owner: Owner, _ resumes: Bool, _ directories: Directories
  ) throws(Failure) -> Bool {
    let state = partial.appending(stateName)
    let hasFiles = try directories.names(in: partial).contains { $0 != stateName }
    let isMerge = try directories.kind(of: state.appending(journalName)) != nil
    let isJob = try directories.kind(of: state.appending(ownerName)) != nil
    let name = isJob ? try Self.name(in: state.appending(ownerName), directories) : ""
    // What belongs to nobody is read back like all else.
    if resumes, !isMerge, !isJob || owner.isCalled(name) { return true }
    guard hasFiles || isMerge || isJob else { return false }
    if permissions.restart {
      try clear(partial, directories)
      return false
    }
    if case .merge = owner, isMerge { return true }
    if isJob {
      throw refusal(
        .partialOfJob, "belongs to \(name), which is not complete", partial,
        remedy: "go on with it there (expomerge resume), or discard what it left and begin again with --restart")
    }
    throw refusal(
      .partialExists, "an earlier merge into this folder was interrupted", partial,
      remedy: isMerge
        ? "run expomerge merge as before to go on with it, or discard what it left and begin again with --restart"
        : "discard what it left and begin again with --restart")
  }

  /// The owner's name, as it was claimed.
  private static func name(in file: FilePath, _ directories: Directories) throws(Failure) -> String {
    let line = try File.contents(of: file, limit: 1 << 16, calls: directories.calls)
    return String(decoding: line.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
  }

  /// Removes everything but the lock that is held.
  private static func clear(_ partial: FilePath, _ directories: Directories) throws(Failure) {
    try directories.removeContents(of: partial, except: stateName)
    try directories.removeContents(of: partial.appending(stateName), except: "lock")
  }

  /// Removes what an interrupted merge has left before it had anything worth keeping: all but the journal and the lock.
  func clear() throws(Failure) {
    try directories.removeContents(of: partial, except: Self.stateName)
  }

  /// Whether what stands at OUTPUT may be replaced.
  private static func checkExisting(
    _ output: FilePath, _ path: FilePath, _ permissions: Permissions, _ directories: Directories
  ) throws(Failure) {
    guard let kind = try directories.kind(of: output) else { return }
    guard kind == .directory else {
      throw refusal(.outputExists, "is not a folder", path, remedy: "choose another output")
    }
    guard !directories.isMountPoint(output) else {
      throw refusal(
        .outputExists, "a filesystem is mounted there, which a rename cannot replace", path,
        remedy: "name a folder inside it")
    }
    let names = try directories.names(in: output)
    if names.isEmpty { return }
    guard permissions.overwrite else {
      throw refusal(
        .outputExists, "the output exists already", path,
        remedy: "choose another folder, or replace it with --overwrite")
    }
    let isCheckpoint = names.contains { $0.hasSuffix(".safetensors") }
    let made = try Manifest.folders(in: output, directories)
    guard isCheckpoint || !made.isEmpty else {
      throw refusal(
        .outputExists, "the folder holds other things than a checkpoint, and is not replaced", path,
        remedy: "choose another folder, or remove it yourself")
    }
  }

  private static func refusal(_ code: Problem.Code, _ message: String, _ path: FilePath, remedy: String) -> Failure {
    Failure(.cannotCreate, Problem(code, message, file: path.string, remedy: remedy))
  }

  private static var holder: String { "process \(getpid()) on \(hostName)" }

  private static var hostName: String {
    var name = [CChar](repeating: 0, count: 256)
    gethostname(&name, name.count - 1)
    return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// The absolute path, links followed as far as there is something to follow, so that `link/../name` means what it
  /// means to the kernel.
  private static func resolved(_ path: FilePath, _ directories: Directories) throws(Failure) -> FilePath {
    guard !path.isEmpty else {
      throw refusal(.outputExists, "the output's path is empty", path, remedy: "name a folder")
    }
    if try directories.kind(of: path) != nil { return try directories.resolve(path) }
    if try directories.isSymbolicLink(path) {
      throw refusal(.fileNotFound, "is a link to nowhere", path, remedy: "remove it, or choose another output")
    }
    guard let name = path.lastComponent else { return path }
    guard name.kind == .regular else {
      throw refusal(.outputExists, "there is no such folder", path, remedy: "name a folder without dots")
    }
    let parent = path.removingLastComponent()
    return try resolved(parent.isEmpty ? "." : parent, directories).appending(name)
  }

  // MARK: filling it

  /// Says whose the folder is, where that is not told by a journal in it.
  func claim() throws(Failure) {
    guard let name = owner.name else { return }
    try write(Array("\(name)\n".utf8), to: "\(Self.stateName)/\(Self.ownerName)")
  }

  /// Makes the plan's files at their full size, so that a full disk is known at once. What is in them is kept where the
  /// merge is resumed.
  ///
  /// - Returns: those of the plan's `outputs`, and the numbers of those that were there, whole.
  func allocate(_ plan: Plan) throws(Failure) -> (files: [File], kept: Set<Int>) {
    var (left, present) = (plan.outputBytes, 0)
    if isResumed {
      try sweep(plan)
      for planned in plan.outputs { present += Self.allocatedBytes(of: partial.pushing(FilePath(planned.path))) }
    }
    func noSpace() -> Failure {
      let available = FileSystemKind(at: partial)?.availableBytes ?? 0
      return Failure(
        .cannotCreate,
        Problem(
          .noSpace,
          left > available
            ? "\(Format.bytes(left)) are still to be reserved and \(Format.bytes(available)) are free: \(Format.bytes(left - available)) are missing"
            : "\(Format.bytes(left)) are still to be reserved, which a quota or the filesystem does not allow",
          file: partial.string, remedy: "free some space or choose another place for the output"))
    }
    if let available = FileSystemKind(at: partial)?.availableBytes, available < left - present { throw noSpace() }
    for variant in plan.variants { try directories.makeDirectory(variant.folder(in: partial)) }
    var files: [File] = []
    var kept: Set<Int> = []
    for (index, planned) in plan.outputs.enumerated() {
      do throws(Failure) {
        let path = partial.pushing(FilePath(planned.path))
        let file = isResumed ? try File.openOrCreate(path, calls: calls) : try File.create(path, calls: calls)
        let size = try file.status().size
        if size == planned.size { kept.insert(index) }
        if size > planned.size { try file.setSize(planned.size) }
        try file.preallocate(size: planned.size)
        files.append(file)
      } catch {
        throw error.problems.first?.code == .noSpace ? noSpace() : error.aboutOutput
      }
      left -= planned.size
    }
    return (files, kept)
  }

  /// Removes all but weights that a merge goes on with: what stands beside them is made again. Links are not followed,
  /// and a file that has another name too is somebody else's.
  private func sweep(_ plan: Plan) throws(Failure) {
    let weights = weights(of: plan)
    let variants = Set(plan.variants.map { $0.folder(in: partial) })
    func sweep(_ folder: FilePath) throws(Failure) {
      for entry in try directories.entries(in: folder) {
        let path = folder.appending(entry)
        if path == partial.appending(Self.stateName) { continue }
        if weights.contains(path), try directories.isSingleFile(path) { continue }
        if variants.contains(path), try !directories.isSymbolicLink(path), try directories.kind(of: path) == .directory {
          try sweep(path)
        } else {
          try directories.removeTree(path)
        }
      }
    }
    try sweep(partial)
  }

  private func weights(of plan: Plan) -> Set<FilePath> { Set(plan.outputs.map { partial.pushing(FilePath($0.path)) }) }

  /// Disk space that a file has; 0 where there is none.
  private static func allocatedBytes(of path: FilePath) -> Int {
    var info = stat()
    return path.withPlatformString { stat($0, &info) } == 0 ? Int(info.st_blocks) * 512 : 0
  }

  /// Copies the files beside the weights, for each variant; config.json follows the dtype of the output.
  ///
  /// - Returns: those of one variant.
  func copyCompanions(for plan: Plan) throws(Failure) -> [Manifest.OtherFile] {
    var copied: [Manifest.OtherFile] = []
    for companion in plan.aligned.companions {
      let contents = try Self.contents(of: companion.path, plan.aligned, plan.recipe.dtype, calls: calls)
      for variant in plan.variants {
        let folder = variant.folder(in: partial)
        let target = folder.pushing(FilePath(companion.path))
        if target.removingLastComponent() != folder { try directories.makeDirectory(target.removingLastComponent()) }
        try write(contents, to: variant.path(companion.path))
      }
      copied.append(.init(path: companion.path, contents: contents))
    }
    return copied
  }

  /// What a file beside the weights holds in the output.
  static func contents(
    of companion: String, _ checkpoint: Checkpoint, _ dtype: DType?, calls: SystemCalls = .live
  ) throws(Failure) -> [UInt8] {
    if companion == "config.json", let changed = checkpoint.config(forOutput: dtype) { return changed }
    return try File.contents(of: checkpoint.folder.pushing(FilePath(companion)), limit: 1 << 30, calls: calls)
  }

  /// - Parameter path: from the output's folder.
  func write(_ contents: [UInt8], to path: String) throws(Failure) {
    do throws(Failure) {
      try File.create(partial.pushing(FilePath(path)), calls: calls).write(contents, at: 0)
    } catch {
      throw error.aboutOutput
    }
  }

  /// Removes what could not be written whole.
  func remove(_ path: String) {
    try? directories.removeTree(partial.pushing(FilePath(path)))
  }

  // MARK: ending

  /// Makes what stands beside the weights durable: each file, then each folder.
  ///
  /// - Parameter plan: whose weights are durable. They are left alone: a failure here is not taken for one of theirs.
  func sync(except plan: Plan) throws(Failure) {
    try sync(partial, except: weights(of: plan).union([partial.appending(Self.stateName)]))
  }

  private func sync(_ folder: FilePath, except paths: Set<FilePath>) throws(Failure) {
    for entry in try directories.entries(in: folder) {
      let path = folder.appending(entry)
      if paths.contains(path) { continue }
      switch try directories.kind(of: path) {
      case .directory: try sync(path, except: paths)
      case .file: try File.openForUpdate(path, calls: calls).syncData()
      default: continue
      }
    }
    try directories.sync(folder)
  }

  /// Gives the folder its name, at once. The lock is held until then, and goes with it.
  ///
  /// - Parameter durable: also waits until the name is on the disk.
  /// - Returns: what went wrong after the output was in its place, and so is no failure.
  consuming func publish(durable: Bool) throws(Failure) -> [Problem] {
    let parent = output.removingLastComponent()
    var old: FilePath?
    do throws(Failure) {
      if permissions.overwrite, try directories.kind(of: output) != nil, try !directories.isEmptyFolder(output) {
        old = try replace()
      } else {
        // An earlier attempt may have ended between moving the old one away and this.
        let moved = Self.replaced(output)
        if isResumed, try directories.kind(of: output) == nil, Self.isReplaced(moved, by: partial) {
          old = moved
        }
        try directories.rename(partial, to: output)
      }
    } catch {
      var failure = error
      failure.category = .cannotCreate
      failure.problems[0].remedy = "the merged model is complete in \(partial.string): rename it yourself"
      throw failure
    }
    CrashPoint.renamed.pass()
    var warnings: [Problem] = []
    func attempt(_ work: () throws(Failure) -> Void) {
      do throws(Failure) { try work() } catch { warnings += error.problems }
    }
    if durable { attempt { () throws(Failure) in try directories.sync(parent) } }
    CrashPoint.parentSynced.pass()
    if let old { attempt { () throws(Failure) in try directories.removeTree(old) } }
    CrashPoint.oldRemoved.pass()
    attempt { () throws(Failure) in try Self.removeState(of: output, directories) }
    CrashPoint.stateRemoved.pass()
    return warnings
  }

  /// Removes what a merge has kept for itself, the journal last: while it is there, the next run finds what is left to do.
  static func removeState(of output: FilePath, _ directories: Directories = .live) throws(Failure) {
    let state = output.appending(stateName)
    try directories.removeContents(of: state, except: journalName)
    try directories.removeTree(state)
  }

  /// Puts the new output in the place of the old one; returns where the old one is now.
  private func replace() throws(Failure) -> FilePath {
    // Whoever goes on after this life knows by it what may be removed.
    let marker = try File.create(partial.appending(Self.stateName).appending(Self.replacedName), calls: calls)
    try marker.write(Array((Self.identity(of: output) ?? "").utf8), at: 0)
    try marker.syncData()
    if try directories.exchange(partial, output) { return partial }
    let old = Self.replaced(output)
    if try directories.kind(of: old) != nil {
      throw Self.refusal(.outputExists, "is in the way of replacing \(output.string)", old, remedy: "move it away")
    }
    try directories.rename(output, to: old)
    CrashPoint.oldMovedAway.pass()
    do throws(Failure) {
      try directories.rename(partial, to: output)
    } catch {
      try directories.rename(old, to: output)
      throw error
    }
    return old
  }

  /// Whether a folder is the old output that `replacement` has taken the place of, or was about to.
  static func isReplaced(_ old: FilePath, by replacement: FilePath) -> Bool {
    let marker = replacement.appending(stateName).appending(replacedName)
    guard let identity = identity(of: old), let kept = try? File.contents(of: marker, limit: 4096) else { return false }
    return kept == Array(identity.utf8)
  }

  /// Device and inode; nil where there is nothing.
  private static func identity(of path: FilePath) -> String? {
    var info = stat()
    guard path.withPlatformString({ lstat($0, &info) }) == 0 else { return nil }
    return "\(info.st_dev):\(info.st_ino)"
  }

  /// Where the old output waits to be removed, where it could not be exchanged with the new one at once.
  static func replaced(_ output: FilePath) -> FilePath {
    output.removingLastComponent().appending((output.lastComponent?.string ?? "") + ".replaced")
  }

  /// Removes everything, when nothing in it is worth keeping.
  public consuming func discard() {
    try? directories.removeTree(partial)
  }
}

extension Failure {
  /// The same failure where the output was the matter: not an input that is missing.
  fileprivate var aboutOutput: Failure {
    guard category == .inputNotFound || category == .notPermitted else { return self }
    return Failure(.cannotCreate, problems)
  }
}
