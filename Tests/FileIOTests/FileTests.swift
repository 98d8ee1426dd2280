import Diagnostics
import FileIO
import Glibc
import Synchronization
import SystemPackage
import TestSupport
import Testing

/// A system call that fails as a list says, then works.
final class Script: Sendable {
  private let steps: Mutex<[Step]>
  private let calls = Atomic(0)

  enum Step {
    case fail(Int32)
    /// Does at most so many bytes.
    case short(Int)
  }

  init(_ steps: [Step]) {
    self.steps = Mutex(steps)
  }

  var count: Int { calls.load(ordering: .relaxed) }

  func next() -> Step? {
    calls.wrappingAdd(1, ordering: .relaxed)
    return steps.withLock { $0.isEmpty ? nil : $0.removeFirst() }
  }

  /// -1 and errno for a failing step, else what `work` gives for the number of bytes allowed.
  func perform(_ count: Int, _ work: (Int) -> Int) -> Int {
    switch next() {
    case .fail(let number):
      errno = number
      return -1
    case .short(let limit): return work(min(limit, count))
    case nil: return work(count)
    }
  }
}

@Suite("Files")
struct FileTests {
  let folder = TemporaryFolder()
  let text = Array("the quick brown fox jumps over the lazy dog".utf8)

  @Test("short writes and interruptions are carried on from where they stopped")
  func shortWrites() throws {
    let script = Script([.short(3), .fail(EINTR), .short(1), .fail(EINTR), .short(10)])
    var calls = SystemCalls()
    calls.pwrite = { descriptor, buffer, count, offset in
      script.perform(count) { pwrite(descriptor, buffer, $0, offset) }
    }
    try File.create(folder("x"), calls: calls).write(text, at: 5)
    #expect(TemporaryFolder.contents(folder("x")) == [0, 0, 0, 0, 0] + text)
    #expect(script.count == 6)
  }

  @Test("short reads and interruptions are carried on from where they stopped")
  func shortReads() throws {
    let script = Script([.fail(EINTR), .short(7), .short(2), .fail(EINTR)])
    var calls = SystemCalls()
    calls.pread = { descriptor, buffer, count, offset in
      script.perform(count) { pread(descriptor, buffer, $0, offset) }
    }
    let path = folder.write(text, to: "x")
    #expect(try File.open(path, calls: calls).read(at: 4, count: 30) == Array(text[4..<34]))
  }

  @Test(
    "an error of a write names the file, the byte and the kind",
    arguments: [(ENOSPC, Problem.Code.noSpace), (EDQUOT, .noSpace), (EIO, .writeFailed)])
  func writeErrors(number: Int32, code: Problem.Code) throws {
    let script = Script([.short(4), .fail(number)])
    var calls = SystemCalls()
    calls.pwrite = { descriptor, buffer, count, offset in
      script.perform(count) { pwrite(descriptor, buffer, $0, offset) }
    }
    let file = try File.create(folder("x"), calls: calls)
    let failure = #expect(throws: Failure.self) { try file.write(text, at: 100) }
    #expect(failure?.category == .inputOutput)
    #expect(failure?.problems.first?.code == code)
    #expect(failure?.problems.first?.file == folder("x").string)
    #expect(code != .writeFailed || failure?.problems.first?.byte == 104)
  }

  @Test("a read error names the file and the byte")
  func readError() throws {
    let script = Script([.short(4), .fail(EIO)])
    var calls = SystemCalls()
    calls.pread = { descriptor, buffer, count, offset in
      script.perform(count) { pread(descriptor, buffer, $0, offset) }
    }
    let path = folder.write(text, to: "x")
    let failure = #expect(throws: Failure.self) { try File.open(path, calls: calls).read(at: 10, count: 20) }
    #expect(failure?.problems.first?.code == .readFailed)
    #expect(failure?.problems.first?.byte == 14)
  }

  @Test("a file that ends too early is an error, not a short result")
  func truncated() throws {
    let path = folder.write(text, to: "x")
    let failure = #expect(throws: Failure.self) { try File.open(path).read(at: 40, count: 10) }
    #expect(failure?.problems.first?.code == .fileTruncated)
    #expect(failure?.problems.first?.byte == text.count)
  }

  @Test("a failed sync is reported and never tried again", arguments: [EIO, EINTR, ENOSPC])
  func syncFailure(number: Int32) throws {
    let script = Script([.fail(number)])
    var calls = SystemCalls()
    calls.fdatasync = { descriptor in Int32(script.perform(0) { _ in Int(fdatasync(descriptor)) }) }
    let file = try File.create(folder("x"), calls: calls)
    #expect(throws: Failure.self) { try file.syncData() }
    #expect(script.count == 1)
  }

  @Test("preallocation reserves the space, or says that it is missing")
  func preallocation() throws {
    let file = try File.create(folder("x"))
    try file.preallocate(size: 100_000)
    #expect(try file.status().size == 100_000)
    var calls = SystemCalls()
    calls.fallocate = { _, _, _, _ in
      errno = ENOSPC
      return -1
    }
    let full = try File.create(folder("y"), calls: calls)
    let failure = #expect(throws: Failure.self) { try full.preallocate(size: 100_000) }
    #expect(failure?.problems.first?.code == .noSpace)
  }

  @Test("where a filesystem cannot reserve, the file is made that long")
  func preallocationUnsupported() throws {
    var calls = SystemCalls()
    calls.fallocate = { _, _, _, _ in
      errno = EOPNOTSUPP
      return -1
    }
    let file = try File.create(folder("x"), calls: calls)
    try file.preallocate(size: 4097)
    #expect(try file.status().size == 4097)
  }

  @Test("what is not a regular file is refused, without waiting for a FIFO's writer")
  func notRegular() throws {
    mkfifo(folder("fifo").string, 0o600)
    #expect(throws: Failure.self) { try File.open(folder("fifo")) }
    #expect(throws: Failure.self) { try File.open(folder.path) }
    let failure = #expect(throws: Failure.self) { try File.open(folder("nothing")) }
    #expect(failure?.category == .inputNotFound)
  }

  @Test("a mapping shows any range, aligned or not")
  func mapping() throws {
    let bytes = (0..<20_000).map { UInt8(truncatingIfNeeded: $0 / 7) }
    let file = try File.open(folder.write(bytes, to: "x"))
    for range in [0..<20_000, 1..<2, 4095..<4097, 5000..<19_999, 7..<7] {
      let mapping = try file.map(range)
      #expect(Array(mapping.bytes) == Array(bytes[range]))
    }
  }
}
