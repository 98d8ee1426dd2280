import CLinux
import Diagnostics
import FileIO
import Glibc
import SystemPackage
import TestSupport
import Testing

@Suite("Files beneath roots") struct ConfinementTests {
  let folder = TemporaryFolder()
  let calls: SystemCalls

  init() {
    folder.write("secret", to: "out/secret")
    folder.write("inside", to: "in/models/weights")
    calls = SystemCalls.live.confined(to: Confinement([folder("in")]))
  }

  func link(_ name: String, to target: FilePath) {
    #expect(symlink(target.string, folder(name).string) == 0)
  }

  /// What opening is refused with.
  func refusal(_ open: () throws -> Void) -> Problem.Code? {
    do {
      try open()
      return nil
    } catch {
      return (error as? Failure)?.problems[0].code
    }
  }

  @Test("what lies beneath a root is opened, through links that stay there too")
  func inside() throws {
    link("in/relative", to: "models/weights")
    link("in/absolute", to: folder("in/models/weights"))
    for name in ["in/models/weights", "in/relative", "in/absolute", "in/../in/models/weights", "out/../in/relative"] {
      #expect(try File.contents(of: folder(name), limit: 100, calls: calls) == Array("inside".utf8))
    }
    try File.create(folder("in/models/new"), calls: calls).write(Array("x".utf8), at: 0)
    #expect(TemporaryFolder.contents(folder("in/models/new")) == Array("x".utf8))
    #expect(try Directories(calls: calls).names(in: folder("in/models")) == ["new", "weights"])
  }

  @Test("what lies outside is refused, however it is named", arguments: ["out/secret", "in/../out/secret", "in/link", "in/folder/secret", "inner/secret"])
  func outside(name: String) {
    link("in/link", to: "../out/secret")
    link("in/folder", to: folder("out"))
    folder.write("secret", to: "inner/secret")
    let path = folder(name)
    #expect(refusal { _ = try File.open(path, calls: calls) } == .outsideRoots)
    #expect(refusal { _ = try File.openForUpdate(path, calls: calls) } == .outsideRoots)
    #expect(refusal { _ = try File.create(path, calls: calls) } == .outsideRoots)
    #expect(refusal { _ = try Directories(calls: calls).names(in: path.removingLastComponent()) } == (name == "in/link" ? nil : .outsideRoots))
    #expect(TemporaryFolder.contents(folder("out/secret")) == Array("secret".utf8))
  }

  @Test("nothing is made, moved or removed outside")
  func changes() throws {
    let directories = Directories(calls: calls)
    link("in/folder", to: folder("out"))
    for name in ["out/new", "in/folder/new", "in/folder/deep/er"] {
      #expect(refusal { _ = try File.create(folder(name), calls: calls) } == .outsideRoots)
      #expect(refusal { try directories.makeDirectory(folder(name)) } == .outsideRoots)
      #expect(refusal { try directories.rename(folder("in/models"), to: folder(name)) } == .outsideRoots)
    }
    #expect(refusal { try directories.removeTree(folder("in/folder/secret")) } == .outsideRoots)
    #expect(refusal { _ = try directories.exchange(folder("in/models"), folder("out")) } == .outsideRoots)
    #expect(TemporaryFolder.names(in: folder("out")) == ["secret"])
    // The link itself is inside.
    try directories.removeTree(folder("in/folder"))
    try directories.makeDirectory(folder("in/a/b/c"))
    #expect(TemporaryFolder.names(in: folder("out")) == ["secret"])
  }

  @Test("FIFOs, devices and folders are not taken for files, and nobody waits for them")
  func special() {
    #expect(mkfifo(folder("in/fifo").string, 0o600) == 0)
    link("in/zero", to: "/dev/zero")
    #expect(refusal { _ = try File.open(folder("in/fifo"), calls: calls) } == .systemCallFailed)
    #expect(refusal { _ = try File.open(folder("in/models"), calls: calls) } == .systemCallFailed)
    #expect(refusal { _ = try File.open(folder("in/zero"), calls: calls) } == .outsideRoots)
    #expect(refusal { _ = try File.open("/dev/zero") } == .systemCallFailed)
  }

  @Test("without folders nothing is opened at all")
  func none() {
    let nothing = SystemCalls.live.confined(to: Confinement([]))
    #expect(refusal { _ = try File.open(folder("in/models/weights"), calls: nothing) } == .outsideRoots)
  }

  /// The two ways of the C function: of this kernel, and of one that has no openat2(2).
  static let ways: [@Sendable (UnsafePointer<CChar>, UnsafePointer<CChar>, Int32, UInt32) -> Int32] = [
    { linux_open_beneath($0, $1, $2, $3) }, { linux_open_and_look($0, $1, $2, $3) },
  ]

  @Test("a link that is planted after the path was looked at does not lead out", arguments: [0, 1])
  func planted(way: Int) {
    let open = Self.ways[way]
    let root = folder("in").string
    link("in/link", to: "../out/secret")
    link("in/folder", to: "../out")
    for path in ["link", "folder/secret", "../out/secret", "folder"] {
      let descriptor = open(root, path, O_RDONLY, 0)
      #expect(descriptor == -1 && errno == EXDEV, "\(path)")
    }
    // Not emptied before it is found to lie outside, and not made there.
    #expect(open(root, "link", O_RDWR | O_CREAT | O_TRUNC, 0o666) == -1)
    #expect(open(root, "folder/new", O_RDWR | O_CREAT, 0o666) == -1 || way == 1)
    #expect(TemporaryFolder.contents(folder("out/secret")) == Array("secret".utf8))
    let made = open(root, "models/made", O_RDWR | O_CREAT, 0o600)
    #expect(made >= 0)
    close(made)
    let again = open(root, "models/made", O_RDONLY, 0)
    #expect(again >= 0)
    close(again)
  }
}
