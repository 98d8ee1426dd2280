import Checkpoint
public import Diagnostics
import Digests
public import FileIO
import Glibc
import Planning
public import SystemPackage

extension Problem.Code {
  public static let outputExists = Self("output-exists")
  public static let outputIsInput = Self("output-is-input")
  public static let partialExists = Self("partial-exists")
}

/// Where a merge is made: `OUTPUT.partial/`, which becomes `OUTPUT/` by one rename when all is done.
public struct OutputFolder: ~Copyable {
  /// What may be thrown away.
  public struct Permissions: Sendable {
    /// An `OUTPUT` that exists is replaced.
    public var overwrite: Bool
    /// An `OUTPUT.partial` that an interrupted merge left is removed.
    public var restart: Bool

    public init(overwrite: Bool = false, restart: Bool = false) {
      self.overwrite = overwrite
      self.restart = restart
    }
  }

  public let output: FilePath
  public let partial: FilePath
  private let permissions: Permissions
  private let directories: Directories
  private let calls: SystemCalls
  private let lock: FileLock

  private static let stateName = ".expomerge"

  /// Checks that the merge may write here, and makes the partial folder.
  ///
  /// - Parameter inputs: folders that must not be touched.
  public static func create(
    _ path: FilePath, inputs: [FilePath], permissions: Permissions, calls: SystemCalls = .live
  ) throws(Failure) -> OutputFolder {
    let directories = Directories(calls: calls)
    let output = try absolute(path, directories)
    guard let name = output.lastComponent?.string else {
      throw Failure(.cannotCreate, Problem(.outputExists, "is not the path of a new folder", file: path.string))
    }
    let partial = output.removingLastComponent().appending(name + ".partial")
    try refuseInputs(output, inputs, directories)
    if try directories.kind(of: output) != nil, try !directories.isEmptyFolder(output) {
      guard permissions.overwrite else {
        throw Failure(
          .cannotCreate,
          Problem(
            .outputExists, "the output exists already", file: path.string,
            remedy: "choose another folder, or replace it with --overwrite"))
      }
    }
    if try directories.kind(of: partial) != nil {
      // Whoever holds the lock is at work there: not even --restart may take it away.
      let lockFile = partial.appending(stateName).appending("lock")
      if try directories.kind(of: lockFile) != nil { _ = try FileLock.acquire(lockFile, holder: holder) }
      guard permissions.restart else {
        throw Failure(
          .cannotCreate,
          Problem(
            .partialExists, "an earlier merge into this folder was interrupted", file: partial.string,
            remedy: "discard what it left and begin again with --restart"))
      }
      try directories.removeTree(partial)
    }
    try directories.makeDirectory(partial.appending(stateName))
    let lock = try FileLock.acquire(partial.appending(stateName).appending("lock"), holder: holder)
    return OutputFolder(
      output: output, partial: partial, permissions: permissions, directories: directories, calls: calls, lock: lock)
  }

  private static var holder: String { "process \(getpid()) on \(hostName)" }

  private static var hostName: String {
    var name = [CChar](repeating: 0, count: 256)
    gethostname(&name, name.count - 1)
    return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  private static func absolute(_ path: FilePath, _ directories: Directories) throws(Failure) -> FilePath {
    if path.isAbsolute { return path.lexicallyNormalized() }
    return try directories.resolve(".").pushing(path).lexicallyNormalized()
  }

  /// The output may be neither an input, nor hold one, nor lie in one.
  private static func refuseInputs(
    _ output: FilePath, _ inputs: [FilePath], _ directories: Directories
  ) throws(Failure) {
    var existing = output
    var missing: [FilePath.Component] = []
    while try directories.kind(of: existing) == nil, let last = existing.lastComponent {
      missing.insert(last, at: 0)
      existing.removeLastComponent()
    }
    let real = try directories.resolve(existing).appending(missing)
    for input in inputs {
      let input = try directories.resolve(input)
      if real.starts(with: input) || input.starts(with: real) {
        throw Failure(
          .cannotCreate,
          Problem(
            .outputIsInput, "the output and the input \(input.string) lie in each other", file: output.string,
            remedy: "choose a folder of its own for the output"))
      }
    }
  }

  // MARK: filling it

  /// Creates the plan's files at their full size, so that a full disk is known at once.
  func allocate(_ plan: Plan) throws(Failure) -> [File] {
    let needed = plan.outputBytes
    if let available = FileSystemKind(at: partial)?.availableBytes, available < needed {
      throw Self.noSpace(needed: needed, available: available, partial)
    }
    var files: [File] = []
    for planned in plan.files {
      let file = try File.create(partial.appending(planned.name), calls: calls)
      do throws(Failure) {
        try file.preallocate(size: planned.size)
      } catch {
        guard error.problems.first?.code == .noSpace else { throw error }
        throw Self.noSpace(needed: needed, available: FileSystemKind(at: partial)?.availableBytes ?? 0, partial)
      }
      files.append(file)
    }
    return files
  }

  private static func noSpace(needed: Int, available: Int, _ path: FilePath) -> Failure {
    Failure(
      .cannotCreate,
      Problem(
        .noSpace,
        "the output takes \(needed) bytes and \(available) are free: \(max(needed - available, 0)) are missing",
        file: path.string, remedy: "free some space or choose another place for the output"))
  }

  /// Copies the files beside the weights; config.json follows the dtype of the output.
  func copyCompanions(of checkpoint: Checkpoint, dtype: DType?) throws(Failure) -> [Manifest.CopiedFile] {
    var copied: [Manifest.CopiedFile] = []
    for companion in checkpoint.companions {
      let target = partial.pushing(FilePath(companion.path))
      if target.removingLastComponent() != partial { try directories.makeDirectory(target.removingLastComponent()) }
      var contents = try File.contents(
        of: checkpoint.folder.pushing(FilePath(companion.path)), limit: 1 << 30)
      if companion.path == "config.json", let name = dtype?.torchName, let config = checkpoint.config {
        contents = config.json(withDType: name)
      }
      try write(contents, to: companion.path)
      copied.append(
        .init(
          path: companion.path, bytes: contents.count, digest: contents.withUnsafeBytes { XXH3.digest(of: $0) }))
    }
    return copied
  }

  func write(_ contents: [UInt8], to name: String) throws(Failure) {
    try File.create(partial.pushing(FilePath(name)), calls: calls).write(contents, at: 0)
  }

  // MARK: ending

  /// Makes the folder's contents durable: each file, then each folder.
  func sync() throws(Failure) {
    try sync(partial)
  }

  private func sync(_ folder: FilePath) throws(Failure) {
    for name in try directories.names(in: folder) where name != Self.stateName {
      let path = folder.appending(name)
      switch try directories.kind(of: path) {
      case .directory: try sync(path)
      case .file: try File.openForUpdate(path, calls: calls).syncData()
      default: continue
      }
    }
    try directories.sync(folder)
  }

  /// Gives the folder its name, at once.
  ///
  /// - Parameter durable: also waits until the name is on the disk.
  consuming func publish(durable: Bool) throws(Failure) {
    try directories.removeTree(partial.appending(Self.stateName))
    if permissions.overwrite, try directories.kind(of: output) != nil, try !directories.isEmptyFolder(output) {
      if try directories.exchange(partial, output) {
        try directories.removeTree(partial)
      } else {
        let old = output.removingLastComponent().appending((output.lastComponent?.string ?? "") + ".replaced")
        try directories.rename(output, to: old)
        try directories.rename(partial, to: output)
        try directories.removeTree(old)
      }
    } else {
      try directories.rename(partial, to: output)
    }
    if durable { try directories.sync(output.removingLastComponent()) }
  }

  /// Removes everything, when nothing in it is worth keeping.
  public consuming func discard() {
    try? directories.removeTree(partial)
  }
}

extension DType {
  /// PyTorch's name of a dtype that `--dtype` can ask for.
  var torchName: String? {
    switch self {
    case .bf16: "bfloat16"
    case .f16: "float16"
    case .f32: "float32"
    case .f64: "float64"
    default: nil
    }
  }
}
