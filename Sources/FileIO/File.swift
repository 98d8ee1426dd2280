import CLinux
public import Diagnostics
import Glibc
public import SystemPackage

/// An open file. Reads and writes are positioned, so that one value serves any number of threads.
public final class File: Sendable {
  public let path: FilePath
  private let descriptor: Int32
  private let calls: SystemCalls

  private init(path: FilePath, descriptor: Int32, calls: SystemCalls) {
    self.path = path
    self.descriptor = descriptor
    self.calls = calls
  }

  deinit {
    close(descriptor)
  }

  /// Opens an existing regular file; open(2) with `O_RDONLY`.
  public static func open(_ path: FilePath, calls: SystemCalls = .live) throws(Failure) -> File {
    // Nonblocking, or opening a FIFO would wait for its writer; without effect on regular files.
    let file = try openDescriptor(path, O_RDONLY | O_NONBLOCK, action: "open", calls: calls)
    guard try file.status().isRegular else {
      throw Failure(.badData, Problem(.systemCallFailed, "is not a regular file", file: path.string))
    }
    return file
  }

  // What is written to is never what a link leads to: that may lie anywhere.

  /// Opens an existing file for reading and writing.
  public static func openForUpdate(_ path: FilePath, calls: SystemCalls = .live) throws(Failure) -> File {
    try openDescriptor(path, O_RDWR | O_NOFOLLOW, action: "open", calls: calls)
  }

  /// Creates a file, or empties one that exists; mode 0666 less the umask.
  public static func create(_ path: FilePath, calls: SystemCalls = .live) throws(Failure) -> File {
    try openDescriptor(path, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, action: "create", calls: calls)
  }

  public static func openOrCreate(_ path: FilePath, calls: SystemCalls = .live) throws(Failure) -> File {
    try openDescriptor(path, O_RDWR | O_CREAT | O_NOFOLLOW, action: "open", calls: calls)
  }

  /// Creates a file where nothing is, with exactly this mode; open(2) with `O_EXCL`.
  ///
  /// - Throws: `alreadyExists` where there is anything, and be it a link that leads nowhere.
  public static func createNew(_ path: FilePath, mode: UInt32, calls: SystemCalls = .live) throws(Failure) -> File {
    let file = try openDescriptor(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode: mode, action: "create", calls: calls)
    guard fchmod(file.descriptor, mode) == 0 else { throw file.failure("set the mode of", errno: errno) }
    return file
  }

  private static func openDescriptor(
    _ path: FilePath, _ flags: Int32, mode: UInt32 = 0o666, action: String, calls: SystemCalls
  ) throws(Failure) -> File {
    while true {
      let descriptor = calls.open(path, flags, mode: mode)
      if descriptor >= 0 { return File(path: path, descriptor: descriptor, calls: calls) }
      if errno == EXDEV { throw Confinement.refusal(path) }
      if errno != EINTR { throw Failure.system(action, file: path.string, errno: errno) }
    }
  }

  public struct Status: Sendable, Equatable {
    /// Bytes.
    public let size: Int
    public let isRegular: Bool
    /// Who may do what with it, as for chmod(1).
    public let permissions: UInt32
  }

  /// fstat(2).
  public func status() throws(Failure) -> Status {
    var info = stat()
    guard fstat(descriptor, &info) == 0 else { throw failure("look at", errno: errno) }
    return Status(
      size: Int(info.st_size), isRegular: info.st_mode & S_IFMT == S_IFREG, permissions: info.st_mode & 0o7777)
  }

  /// Whether the path still leads to this file.
  func isStill(at path: FilePath) throws(Failure) -> Bool {
    var (mine, other) = (stat(), stat())
    guard fstat(descriptor, &mine) == 0 else { throw failure("look at", errno: errno) }
    guard path.withPlatformString({ stat($0, &other) }) == 0 else { return false }
    return mine.st_dev == other.st_dev && mine.st_ino == other.st_ino
  }

  /// Fills `buffer` from `offset` on; pread(2), repeated until all is there.
  ///
  /// - Throws: `fileTruncated` where the file ends before the buffer is full.
  public func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(Failure) {
    var done = 0
    while done < buffer.count {
      let count = calls.pread(descriptor, buffer.baseAddress! + done, buffer.count - done, off_t(offset + done))
      if count > 0 {
        done += count
      } else if count == 0 {
        throw truncated(at: offset + done)
      } else if errno != EINTR {
        throw failure("read", code: .readFailed, byte: offset + done, errno: errno)
      }
    }
  }

  /// `count` bytes from `offset` on.
  public func read(at offset: Int, count: Int) throws(Failure) -> [UInt8] {
    // Making an empty array in place would write to the storage that all empty arrays share.
    guard count > 0 else { return [] }
    var failure: Failure?
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      do throws(Failure) {
        try read(into: UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<count]), at: offset)
        initialized = count
      } catch {
        failure = error
      }
    }
    if let failure { throw failure }
    return bytes
  }

  /// Writes all of `buffer` at `offset`; pwrite(2), repeated until all is written.
  public func write(_ buffer: UnsafeRawBufferPointer, at offset: Int) throws(Failure) {
    var done = 0
    while done < buffer.count {
      let count = calls.pwrite(descriptor, buffer.baseAddress! + done, buffer.count - done, off_t(offset + done))
      if count > 0 {
        done += count
      } else if count == 0 {
        throw failure("write", code: .writeFailed, byte: offset + done, errno: EIO)
      } else if errno != EINTR {
        throw failure("write", code: .writeFailed, byte: offset + done, errno: errno)
      }
    }
  }

  public func write(_ bytes: [UInt8], at offset: Int) throws(Failure) {
    var failure: Failure?
    bytes.withUnsafeBytes { buffer in
      do throws(Failure) { try write(buffer, at: offset) } catch { failure = error }
    }
    if let failure { throw failure }
  }

  /// Reserves `size` bytes on the disk and makes the file that long; fallocate(2).
  ///
  /// Where the filesystem cannot reserve, the file is only made that long.
  public func preallocate(size: Int) throws(Failure) {
    guard size > 0 else { return }
    while calls.fallocate(descriptor, 0, 0, Int64(size)) != 0 {
      switch errno {
      case EINTR:
        continue
      case EOPNOTSUPP, ENOSYS, EINVAL:
        return try setSize(size)
      case let number:
        throw failure("reserve \(size) bytes for", code: .writeFailed, errno: number)
      }
    }
  }

  /// ftruncate(2).
  public func setSize(_ size: Int) throws(Failure) {
    while calls.ftruncate(descriptor, off_t(size)) != 0 {
      if errno != EINTR { throw failure("set the length of", code: .writeFailed, errno: errno) }
    }
  }

  /// Waits until the data are on the disk; fdatasync(2).
  ///
  /// A failure is final: the kernel may have dropped the pages, and a second call would report success
  /// (design, section 8).
  public func syncData() throws(Failure) {
    guard calls.fdatasync(descriptor) == 0 else { throw failure("sync", code: .syncFailed, errno: errno) }
  }

  /// Starts writing a range to the disk without waiting for it; sync_file_range(2). Only a hint.
  public func startWriteback(of range: Range<Int>) {
    _ = linux_start_writeback(descriptor, Int64(range.lowerBound), Int64(range.count))
  }

  /// Tells the kernel to read well ahead of reads in order; posix_fadvise(2). Only a hint.
  public func willReadInOrder() {
    _ = posix_fadvise(descriptor, 0, 0, POSIX_FADV_SEQUENTIAL)
  }

  /// Maps a range for reading. The range must lie in the file.
  public func map(_ range: Range<Int>) throws(Failure) -> Mapping {
    guard let mapping = Mapping(descriptor: descriptor, range: range) else {
      throw failure("map", code: .readFailed, byte: range.lowerBound, errno: errno)
    }
    return mapping
  }

  /// The problem of a file that is shorter than it was.
  public func truncated(at byte: Int) -> Failure {
    Failure(
      .inputOutput,
      Problem(
        .fileTruncated, "the file ends too early: it became shorter while it was read", file: path.string, byte: byte,
        remedy: "restore the file and run again"))
  }

  func withDescriptor<Result>(_ body: (Int32) -> Result) -> Result {
    body(descriptor)
  }

  func failure(
    _ action: String, code: Problem.Code = .systemCallFailed, byte: Int? = nil, errno number: Int32
  ) -> Failure {
    Failure.system(action, file: path.string, code: code, byte: byte, errno: number)
  }
}
