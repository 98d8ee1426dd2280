import CLinux
public import Glibc
import SystemPackage

/// The system calls that can fail for reasons outside the program, in one place where a test can make them fail.
///
/// Each closure is the C function of its name and reports errors the same way: -1 and `errno`.
public struct SystemCalls: Sendable {
  public var pread: @Sendable (Int32, UnsafeMutableRawPointer?, Int, off_t) -> Int = { Glibc.pread($0, $1, $2, $3) }
  public var pwrite: @Sendable (Int32, UnsafeRawPointer?, Int, off_t) -> Int = { Glibc.pwrite($0, $1, $2, $3) }
  public var fallocate: @Sendable (Int32, Int32, Int64, Int64) -> Int32 = { linux_fallocate($0, $1, $2, $3) }
  public var ftruncate: @Sendable (Int32, off_t) -> Int32 = { Glibc.ftruncate($0, $1) }
  public var fdatasync: @Sendable (Int32) -> Int32 = { Glibc.fdatasync($0) }
  public var fsync: @Sendable (Int32) -> Int32 = { Glibc.fsync($0) }
  /// fcntl(2) with `F_OFD_SETLK`, exclusive.
  public var lock: @Sendable (Int32) -> Int32 = { linux_lock($0) }
  public var rename: @Sendable (UnsafePointer<CChar>, UnsafePointer<CChar>) -> Int32 = { Glibc.rename($0, $1) }

  public var exchange: @Sendable (UnsafePointer<CChar>, UnsafePointer<CChar>) -> Int32 = { linux_exchange($0, $1) }

  /// Where files may be opened and made; nil for anywhere.
  public var confinement: Confinement?

  public init() {}

  /// The same calls, for files beneath some folders only.
  public func confined(to confinement: Confinement) -> SystemCalls {
    var calls = self
    calls.confinement = confinement
    return calls
  }

  /// The real ones.
  public static let live = SystemCalls()

  /// open(2) with `O_CLOEXEC`, where files may be opened.
  func open(_ path: FilePath, _ flags: Int32, mode: mode_t = 0) -> Int32 {
    if let confinement { return confinement.open(path, flags, mode: mode) }
    return path.withPlatformString { Glibc.open($0, flags | O_CLOEXEC, mode) }
  }
}
