import CLinux
public import Diagnostics
import Glibc
public import SystemPackage

/// An exclusive lock on a file, held until the value goes or the process ends: an open file description lock,
/// fcntl(2) `F_OFD_SETLK`.
///
/// The file holds a line that says who has it.
public struct FileLock: ~Copyable, Sendable {
  private let file: File
  /// Whether it keeps others out: on some network filesystems locks do nothing.
  public let isEffective: Bool

  private init(file: File, isEffective: Bool) {
    self.file = file
    self.isEffective = isEffective
  }

  /// - Parameter holder: a line about this process, shown to others that want the lock.
  /// - Throws: `locked`, naming the holder, where another process or value has it.
  public static func acquire(_ path: FilePath, holder: String, calls: SystemCalls = .live) throws(Failure) -> FileLock {
    while true {
      let file = try File.openOrCreate(path, calls: calls)
      guard file.withDescriptor(calls.lock) == 0 else {
        let number = errno
        guard number == EAGAIN || number == EACCES else { throw file.failure("lock", errno: number) }
        let size = try file.status().size
        let other = String(decoding: try file.read(at: 0, count: min(size, 512)), as: UTF8.self)
        throw Failure(
          .cannotCreate,
          Problem(
            .locked, "is in use by another expomerge (\(other.split(separator: "\n").first ?? "unknown"))",
            file: path.string, remedy: "wait for it to finish, or stop it"))
      }
      // Between opening and locking, the holder before may have taken the file away.
      guard try file.isStill(at: path) else { continue }
      try file.setSize(0)
      try file.write(Array((holder + "\n").utf8), at: 0)
      // A second description of the file must not get it.
      let second = try File.openOrCreate(path)
      return FileLock(file: file, isEffective: second.withDescriptor(calls.lock) != 0)
    }
  }
}
