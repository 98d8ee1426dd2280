public import Diagnostics
import Glibc
public import SystemPackage

/// What stands at a path.
public enum EntryKind: Sendable, Equatable {
  case file(size: Int)
  case directory
  case other
}

/// Operations on names: folders, renames, links.
public struct Directories: Sendable {
  private let calls: SystemCalls

  public init(calls: SystemCalls = .live) {
    self.calls = calls
  }

  public static let live = Directories()

  /// What `path` leads to, symbolic links followed; nil where there is nothing. stat(2).
  public func kind(of path: FilePath) throws(Failure) -> EntryKind? {
    var info = stat()
    guard path.withPlatformString({ stat($0, &info) }) == 0 else {
      if errno == ENOENT || errno == ENOTDIR { return nil }
      throw Failure.system("look at", file: path.string, errno: errno)
    }
    return Self.kind(info)
  }

  /// Whether the path itself is a symbolic link; lstat(2).
  public func isSymbolicLink(_ path: FilePath) throws(Failure) -> Bool {
    var info = stat()
    guard path.withPlatformString({ lstat($0, &info) }) == 0 else {
      throw Failure.system("look at", file: path.string, errno: errno)
    }
    return info.st_mode & S_IFMT == S_IFLNK
  }

  private static func kind(_ info: stat) -> EntryKind {
    switch info.st_mode & S_IFMT {
    case S_IFREG: .file(size: Int(info.st_size))
    case S_IFDIR: .directory
    default: .other
    }
  }

  /// The names in a folder, sorted; readdir(3).
  public func names(in path: FilePath) throws(Failure) -> [String] {
    guard let stream = path.withPlatformString({ opendir($0) }) else {
      throw Failure.system("list", file: path.string, errno: errno)
    }
    defer { closedir(stream) }
    var names: [String] = []
    while true {
      errno = 0
      guard let entry = readdir(stream) else {
        if errno != 0 { throw Failure.system("list", file: path.string, errno: errno) }
        break
      }
      let name = withUnsafePointer(to: &entry.pointee.d_name) { tuple in
        tuple.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  public func isEmptyFolder(_ path: FilePath) throws(Failure) -> Bool {
    guard try kind(of: path) == .directory else { return false }
    return try names(in: path).isEmpty
  }

  /// Makes a folder and those above it; mode 0777 less the umask. A folder that is there is fine.
  public func makeDirectory(_ path: FilePath) throws(Failure) {
    if path.withPlatformString({ mkdir($0, 0o777) }) == 0 { return }
    let number = errno
    if number == EEXIST, try kind(of: path) == .directory { return }
    let parent = path.removingLastComponent()
    guard number == ENOENT, !parent.isEmpty, parent != path else {
      throw Failure.system("make the folder", file: path.string, errno: number)
    }
    try makeDirectory(parent)
    try makeDirectory(path)
  }

  /// rename(2): one file or folder takes the place of another, at once.
  public func rename(_ from: FilePath, to: FilePath) throws(Failure) {
    guard from.withPlatformString({ f in to.withPlatformString { calls.rename(f, $0) } }) == 0 else {
      throw Failure.system("rename to \(to.string)", file: from.string, errno: errno)
    }
  }

  /// Lets two names change places at once; renameat2(2) `RENAME_EXCHANGE`.
  ///
  /// - Returns: false where the filesystem cannot.
  public func exchange(_ one: FilePath, _ other: FilePath) throws(Failure) -> Bool {
    let status = one.withPlatformString { first in other.withPlatformString { calls.exchange(first, $0) } }
    if status == 0 { return true }
    if errno == EINVAL || errno == ENOSYS { return false }
    throw Failure.system("exchange with \(other.string)", file: one.string, errno: errno)
  }

  /// Waits until the names in a folder are on the disk; fsync(2). Filesystems that cannot are left alone.
  public func sync(_ path: FilePath) throws(Failure) {
    let descriptor = path.withPlatformString { Glibc.open($0, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
    guard descriptor >= 0 else { throw Failure.system("open", file: path.string, errno: errno) }
    defer { close(descriptor) }
    if calls.fsync(descriptor) != 0, errno != EINVAL, errno != EROFS {
      throw Failure.system("sync the folder", file: path.string, code: .syncFailed, errno: errno)
    }
  }

  /// Removes a file, a link, or a folder with all that is in it. Links are not followed.
  public func removeTree(_ path: FilePath) throws(Failure) {
    var info = stat()
    guard path.withPlatformString({ lstat($0, &info) }) == 0 else {
      if errno == ENOENT { return }
      throw Failure.system("look at", file: path.string, errno: errno)
    }
    if info.st_mode & S_IFMT == S_IFDIR {
      for name in try names(in: path) { try removeTree(path.appending(name)) }
      guard path.withPlatformString({ rmdir($0) }) == 0 else {
        throw Failure.system("remove", file: path.string, errno: errno)
      }
    } else {
      guard path.withPlatformString({ unlink($0) }) == 0 else {
        throw Failure.system("remove", file: path.string, errno: errno)
      }
    }
  }

  /// The absolute path without links, `.` and `..`; realpath(3).
  public func resolve(_ path: FilePath) throws(Failure) -> FilePath {
    guard let resolved = path.withPlatformString({ realpath($0, nil) }) else {
      throw Failure.system("find", file: path.string, errno: errno)
    }
    defer { free(resolved) }
    return FilePath(platformString: resolved)
  }
}
