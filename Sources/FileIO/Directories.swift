import CLinux
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
  package let calls: SystemCalls

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
      if errno == ENOENT || errno == ENOTDIR { return false }
      throw Failure.system("look at", file: path.string, errno: errno)
    }
    return info.st_mode & S_IFMT == S_IFLNK
  }

  /// Whether the path itself is a regular file that has no other name; lstat(2).
  public func isSingleFile(_ path: FilePath) throws(Failure) -> Bool {
    var info = stat()
    guard path.withPlatformString({ lstat($0, &info) }) == 0 else {
      if errno == ENOENT || errno == ENOTDIR { return false }
      throw Failure.system("look at", file: path.string, errno: errno)
    }
    return info.st_mode & S_IFMT == S_IFREG && info.st_nlink == 1
  }

  private static func kind(_ info: stat) -> EntryKind {
    switch info.st_mode & S_IFMT {
    case S_IFREG: .file(size: Int(info.st_size))
    case S_IFDIR: .directory
    default: .other
    }
  }

  /// The names in a folder, sorted. A name that is not UTF-8 is repaired, and so leads nowhere.
  public func names(in path: FilePath) throws(Failure) -> [String] {
    var names: [String] = []
    for entry in try entries(in: path) { names.append(entry.string) }
    return names.sorted()
  }

  /// The names in a folder to the letter, in no order; readdir(3).
  public func entries(in path: FilePath) throws(Failure) -> [FilePath.Component] {
    let descriptor = calls.open(path, O_RDONLY | O_DIRECTORY)
    guard descriptor >= 0, let stream = fdopendir(descriptor) else {
      let number = errno
      if descriptor >= 0 { close(descriptor) }
      if number == EXDEV { throw Confinement.refusal(path) }
      throw Failure.system("list", file: path.string, errno: number)
    }
    defer { closedir(stream) }
    var entries: [FilePath.Component] = []
    while true {
      errno = 0
      guard let entry = readdir(stream) else {
        if errno != 0 { throw Failure.system("list", file: path.string, errno: errno) }
        break
      }
      let component = withUnsafePointer(to: &entry.pointee.d_name) { tuple in
        tuple.withMemoryRebound(to: CChar.self, capacity: 256) { FilePath.Component(platformString: $0) }
      }
      if let component, component.kind == .regular { entries.append(component) }
    }
    return entries
  }

  public func isEmptyFolder(_ path: FilePath) throws(Failure) -> Bool {
    guard try kind(of: path) == .directory else { return false }
    return try names(in: path).isEmpty
  }

  /// Makes a folder and those above it; these have mode 0777 less the umask. A folder that is there is fine, and stays as it is.
  public func makeDirectory(_ path: FilePath, mode: UInt32 = 0o777) throws(Failure) {
    try calls.confinement?.check(changing: path)
    if path.withPlatformString({ mkdir($0, mode) }) == 0 { return }
    let number = errno
    if number == EEXIST, try kind(of: path) == .directory { return }
    let parent = path.removingLastComponent()
    guard number == ENOENT, !parent.isEmpty, parent != path else {
      throw Failure.system("make the folder", file: path.string, errno: number)
    }
    try makeDirectory(parent)
    try makeDirectory(path, mode: mode)
  }

  /// rename(2): one file or folder takes the place of another, at once.
  public func rename(_ from: FilePath, to: FilePath) throws(Failure) {
    for path in [from, to] { try calls.confinement?.check(changing: path) }
    guard from.withPlatformString({ f in to.withPlatformString { calls.rename(f, $0) } }) == 0 else {
      throw Failure.system("rename to \(to.string)", file: from.string, errno: errno)
    }
  }

  /// Lets two names change places at once; renameat2(2) `RENAME_EXCHANGE`.
  ///
  /// - Returns: false where the filesystem cannot.
  public func exchange(_ one: FilePath, _ other: FilePath) throws(Failure) -> Bool {
    for path in [one, other] { try calls.confinement?.check(changing: path) }
    let status = one.withPlatformString { first in other.withPlatformString { calls.exchange(first, $0) } }
    if status == 0 { return true }
    if errno == EINVAL || errno == ENOSYS { return false }
    throw Failure.system("exchange with \(other.string)", file: one.string, errno: errno)
  }

  /// Makes a symbolic link, or lets one that is there lead elsewhere, at once; symlink(2), rename(2).
  public func link(_ path: FilePath, to target: String) throws(Failure) {
    let new = path.removingLastComponent().appending(".\(path.lastComponent?.string ?? "link").new")
    for path in [new, path] { try calls.confinement?.check(changing: path) }
    try removeTree(new)
    guard new.withPlatformString({ name in target.withCString { symlink($0, name) } }) == 0 else {
      throw Failure.system("make a link to \(target)", file: path.string, errno: errno)
    }
    do throws(Failure) {
      try rename(new, to: path)
    } catch {
      try removeTree(new)
      throw error
    }
  }

  /// Waits until the names in a folder are on the disk; fsync(2). Filesystems that cannot are left alone.
  public func sync(_ path: FilePath) throws(Failure) {
    let descriptor = calls.open(path, O_RDONLY | O_DIRECTORY)
    guard descriptor >= 0 else { throw Failure.system("open", file: path.string, errno: errno) }
    defer { close(descriptor) }
    if calls.fsync(descriptor) != 0, errno != EINVAL, errno != EROFS {
      throw Failure.system("sync the folder", file: path.string, code: .syncFailed, errno: errno)
    }
  }

  /// Removes a file, a link, or a folder with all that is in it. Links are not followed.
  public func removeTree(_ path: FilePath) throws(Failure) {
    try calls.confinement?.check(changing: path)
    var info = stat()
    guard path.withPlatformString({ lstat($0, &info) }) == 0 else {
      if errno == ENOENT { return }
      throw Failure.system("look at", file: path.string, errno: errno)
    }
    if info.st_mode & S_IFMT == S_IFDIR {
      for entry in try entries(in: path) { try removeTree(path.appending(entry)) }
      guard path.withPlatformString({ rmdir($0) }) == 0 else {
        throw Failure.system("remove", file: path.string, errno: errno)
      }
    } else {
      guard path.withPlatformString({ unlink($0) }) == 0 else {
        throw Failure.system("remove", file: path.string, errno: errno)
      }
    }
  }

  /// Empties a folder but for one entry.
  public func removeContents(of path: FilePath, except kept: String) throws(Failure) {
    for entry in try entries(in: path) where entry.string != kept { try removeTree(path.appending(entry)) }
  }

  /// Whether a filesystem is mounted at a path; statx(2).
  public func isMountPoint(_ path: FilePath) -> Bool {
    path.withPlatformString { linux_is_mount_point($0) } == 1
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
