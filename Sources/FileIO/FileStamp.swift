public import Diagnostics
import Glibc
public import SystemPackage

/// What of a file tells, without reading it, that it may have changed; stat(2), links followed.
public struct FileStamp: Sendable, Equatable {
  public let isRegular: Bool
  /// Bytes.
  public let size: Int
  public let device: UInt64
  public let inode: UInt64
  /// Nanoseconds of CLOCK_REALTIME, as coarse as the kernel's tick: two changes of one tick look like one.
  public let modified: Int
  /// The same of the inode, which nobody can set.
  public let changed: Int
  /// Who may do what with it, as for chmod(1).
  public let permissions: UInt32

  /// nil where there is nothing.
  public init?(of path: FilePath) throws(Failure) {
    var info = stat()
    guard path.withPlatformString({ stat($0, &info) }) == 0 else {
      if errno == ENOENT || errno == ENOTDIR || errno == ELOOP { return nil }
      throw Failure.system("look at", file: path.string, errno: errno)
    }
    isRegular = info.st_mode & S_IFMT == S_IFREG
    size = Int(info.st_size)
    device = UInt64(info.st_dev)
    inode = UInt64(info.st_ino)
    modified = info.st_mtim.tv_sec &* 1_000_000_000 &+ info.st_mtim.tv_nsec
    changed = info.st_ctim.tv_sec &* 1_000_000_000 &+ info.st_ctim.tv_nsec
    permissions = info.st_mode & 0o7777
  }
}
