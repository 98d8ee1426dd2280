import Diagnostics
import Glibc
import SystemPackage
import TestSupport
import Testing

@testable import Keys

@Suite struct AuthorizedKeysTests {
  let folder = TemporaryFolder()

  func candidate(_ name: String, _ key: SecretKey = SecretKey(), role: String? = "worker") -> AuthorizedKeys.Candidate {
    let certificate = Certificate(key.publicKey, metadata: role.map { ["role": $0] } ?? [:])
    return .init(name: name, file: "\(name).key", certificate: .success(certificate))
  }

  @Test("a key is known by itself and by its fingerprint, with its name and roles; others are strangers")
  func known() {
    let key = SecretKey()
    let keys = AuthorizedKeys([candidate("node-7", key, role: "worker, viewer"), candidate("other", role: nil)])
    #expect(keys[key.publicKey]?.name == "node-7")
    #expect(keys[user: key.publicKey.fingerprint]?.roles == [.worker, .viewer])
    #expect(keys[SecretKey().publicKey] == nil)
    #expect(keys[user: ""] == nil)
    #expect(keys.count == 2)
    #expect(keys.warnings.isEmpty)
  }

  @Test("a broken file keeps its own key out and nobody else's, and is named")
  func broken() {
    let good = SecretKey()
    let failure = Failure(.badRecipe, Problem(.certificateInvalid, "line 1 is neither", file: "bad.key"))
    let secret = Certificate(SecretKey())
    let keys = AuthorizedKeys([
      .init(name: "bad", file: "bad.key", certificate: .failure(failure)), candidate("good", good),
      candidate("odd", role: "admin"), .init(name: "leak", file: "leak.key", certificate: .success(secret)),
    ])
    #expect(keys[good.publicKey] != nil)
    #expect(keys[secret.publicKey] == nil)
    #expect(keys.count == 1)
    #expect(Set(keys.warnings.compactMap(\.file)) == ["bad.key", "odd.key", "leak.key"])
  }

  @Test("one key under two names is let in under neither, and both files are named")
  func duplicate() {
    let key = SecretKey()
    let keys = AuthorizedKeys([candidate("b", key, role: "operator"), candidate("a", key), candidate("c")])
    #expect(keys[key.publicKey] == nil)
    #expect(keys.count == 1)
    #expect(keys.warnings.map(\.code) == [.keyAmbiguous])
    #expect(keys.warnings[0].message.contains("a.key, b.key"))
  }

  @Test("what became of keys between two readings")
  func changes() {
    let (kept, gone, promoted, new) = (SecretKey(), SecretKey(), SecretKey(), SecretKey())
    let before = AuthorizedKeys([candidate("k", kept), candidate("g", gone), candidate("p", promoted)])
    let after = AuthorizedKeys([candidate("k2", kept), candidate("n", new), candidate("p", promoted, role: "operator")])
    let changes = after.changes(since: before)
    #expect(changes.added == [new.publicKey.fingerprint])
    #expect(changes.removed == [gone.publicKey.fingerprint])
    #expect(changes.changed == [promoted.publicKey.fingerprint])
    #expect(before.changes(since: before).isEmpty)
  }

  // MARK: the folder

  func put(_ name: String, _ key: SecretKey, role: String = "worker") {
    let certificate = Certificate(key.publicKey, metadata: ["role": role])
    folder.write(certificate.publicText(date: "today"), to: "authorized/\(name).key")
  }

  var authorized: KeyFolder { KeyFolder(folder("authorized")) }

  @Test("a folder's files: those called *.key, and nothing else")
  func load() throws {
    let (one, two) = (SecretKey(), SecretKey())
    put("one", one)
    put("two", two, role: "operator")
    folder.write("not mine", to: "authorized/README")
    folder.write("half a file", to: "authorized/.three.key")
    folder.write("broken", to: "authorized/four.key")
    folder.makeFolder(folder("authorized/five.key"))
    #expect(symlink("/nowhere", folder("authorized/six.key").string) == 0)
    let keys = try authorized.load(authorized.listing())
    #expect(keys.count == 2)
    #expect(keys[two.publicKey]?.roles == [.operator])
    #expect(keys.warnings.map { FilePath($0.file ?? "").lastComponent?.string } == ["five.key", "four.key"])
  }

  @Test("every change of a file is noticed: added, edited, replaced, removed, and the folder's end")
  func noticed() throws {
    var listing = try authorized.listing()
    #expect(listing == KeyFolder.Listing())
    func changes() throws -> Set<String> {
      let now = try authorized.listing()
      defer { listing = now }
      return now.changes(since: listing)
    }
    let key = SecretKey()
    put("one", key)
    #expect(try changes() == ["one.key"])
    #expect(try changes() == [])
    // As long as before, and with the times of before: a file of its own all the same.
    var times = [timespec(), timespec()]
    folder.write(TemporaryFolder.contents(folder("authorized/one.key"))!, to: "authorized/new")
    #expect(utimensat(AT_FDCWD, folder("authorized/new").string, &times, 0) == 0)
    #expect(utimensat(AT_FDCWD, folder("authorized/one.key").string, &times, 0) == 0)
    _ = try changes()
    #expect(rename(folder("authorized/new").string, folder("authorized/one.key").string) == 0)
    #expect(try changes() == ["one.key"])
    #expect(unlink(folder("authorized/one.key").string) == 0)
    put("two", key)
    #expect(try changes() == ["one.key", "two.key"])
    #expect(unlink(folder("authorized/two.key").string) == 0)
    #expect(rmdir(folder("authorized").string) == 0)
    #expect(try changes() == ["two.key"])
    #expect(try authorized.load(authorized.listing()).count == 0)
  }

  @Test("a change is read when it is seen and once more, as another in the same tick of the clock leaves no trace")
  func watch() throws {
    put("one", SecretKey())
    let first = try authorized.listing()
    var watch = KeyFolderWatch(first)
    var loads = [first, first, first].map { watch.shouldLoad($0) }
    #expect(loads == [true, false, false])
    put("two", SecretKey())
    let second = try authorized.listing()
    loads = [second, second, second].map { watch.shouldLoad($0) }
    #expect(loads == [true, true, false])
  }

  @Test("a folder or file that everybody can write to is no authority")
  func writable() throws {
    let key = SecretKey()
    put("one", key)
    try authorized.check()
    #expect(chmod(folder("authorized/one.key").string, 0o666) == 0)
    let keys = try authorized.load(authorized.listing())
    #expect(keys.count == 0)
    #expect(keys.warnings.map(\.code) == [.keyUnprotected])
    #expect(chmod(folder("authorized").string, 0o777) == 0)
    #expect(throws: Failure.self) { try authorized.check() }
    #expect(throws: Failure.self) { try KeyFolder(folder("missing")).check() }
  }
}
