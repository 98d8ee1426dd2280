import Diagnostics
import FileIO
import Glibc
import SystemPackage
import TestSupport
import Testing

@Suite("Folders and locks")
struct DirectoriesTests {
  let folder = TemporaryFolder()
  let directories = Directories.live

  @Test("folders are made with those above them, and again without complaint")
  func making() throws {
    try directories.makeDirectory(folder("a/b/c"))
    try directories.makeDirectory(folder("a/b/c"))
    #expect(try directories.kind(of: folder("a/b/c")) == .directory)
    #expect(try directories.isEmptyFolder(folder("a/b/c")))
    folder.write("x", to: "file")
    #expect(throws: Failure.self) { try directories.makeDirectory(folder("file")) }
    #expect(throws: Failure.self) { try directories.makeDirectory(folder("file/below")) }
  }

  @Test("removing a tree does not follow links")
  func removing() throws {
    folder.write("keep", to: "outside/file")
    folder.write("x", to: "tree/a/b")
    symlink(folder("outside").string, folder("tree/link").string)
    try directories.removeTree(folder("tree"))
    #expect(!TemporaryFolder.exists(folder("tree")))
    #expect(TemporaryFolder.exists(folder("outside/file")))
    try directories.removeTree(folder("tree"))
  }

  @Test("two folders change places at once")
  func exchanging() throws {
    folder.write("1", to: "one/1")
    folder.write("2", to: "two/2")
    #expect(try directories.exchange(folder("one"), folder("two")))
    #expect(TemporaryFolder.names(in: folder("one")) == ["2"])
    #expect(TemporaryFolder.names(in: folder("two")) == ["1"])
  }

  @Test("a link is made, and made to lead elsewhere; what is a folder stays")
  func linking() throws {
    folder.write("1", to: "one/1")
    folder.write("2", to: "two/2")
    for name in ["one", "two", "two"] {
      try directories.link(folder("link"), to: name)
      #expect(try directories.isSymbolicLink(folder("link")))
      #expect(try directories.resolve(folder("link")) == directories.resolve(folder(name)))
    }
    #expect(throws: Failure.self) { try directories.link(folder("one"), to: "two") }
    #expect(TemporaryFolder.names(in: folder("one")) == ["1"])
    #expect(TemporaryFolder.names(in: folder.path) == ["link", "one", "two"])
  }

  @Test("a lock is held once, and its holder is named")
  func locking() throws {
    do {
      let lock = try FileLock.acquire(folder("lock"), holder: "process 42 on head")
      let failure = #expect(throws: Failure.self) {
        _ = try FileLock.acquire(folder("lock"), holder: "another")
      }
      #expect(failure?.problems.first?.code == .locked)
      #expect(failure?.problems.first?.message.contains("process 42 on head") == true)
      withExtendedLifetime(lock) {}
    }
    let again = try FileLock.acquire(folder("lock"), holder: "another")
    #expect(TemporaryFolder.contents(folder("lock")) == Array("another\n".utf8))
    withExtendedLifetime(again) {}
  }

  @Test("a lock that keeps nobody out, as on some network filesystems, is noticed")
  func ineffectiveLock() throws {
    #expect(try FileLock.acquire(folder("lock"), holder: "one").isEffective)
    var calls = SystemCalls.live
    calls.lock = { _ in 0 }
    #expect(try !FileLock.acquire(folder("lock"), holder: "two", calls: calls).isEffective)
  }

  @Test("more files than may be open are refused, with what to do")
  func descriptors() throws {
    try DescriptorLimit.require(1)
    #expect(DescriptorLimit.warnings(needed: 1).isEmpty)
    let limit = DescriptorLimit.current
    let failure = #expect(throws: Failure.self) { try DescriptorLimit.require(limit) }
    #expect(failure?.problems[0].code == .descriptorLimit)
    #expect(failure?.problems[0].message.contains("\(limit) can be") == true)
  }

  @Test("the filesystem of a path is known")
  func filesystem() throws {
    let kind = try #require(FileSystemKind(at: folder.path))
    #expect(kind.availableBytes > 0)
    #expect(FileSystemKind(at: folder("nothing")) == nil)
  }
}
