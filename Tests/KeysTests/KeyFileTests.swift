import Diagnostics
import FileIO
import Glibc
import SystemPackage
import TestSupport
import Testing

@testable import Keys

@Suite struct KeyFileTests {
  let folder = TemporaryFolder()

  func write(_ name: String, to place: String = "keys", role: String? = nil) throws -> KeyFile.Pair {
    let certificate = Certificate(SecretKey(), metadata: role.map { ["role": $0] } ?? [:])
    return try KeyFile.write(certificate, to: folder(place), name: name, date: "2025-01-31")
  }

  func refusal(_ work: () throws -> Void) -> Problem? {
    do { try work() } catch { return (error as? Failure)?.problems[0] }
    return nil
  }

  @Test("a new pair: a folder and a secret for their owner only, a public file for everybody, whatever the umask")
  func modes() throws {
    let pair = try write("node-7")
    #expect(try FileStamp(of: folder("keys"))?.permissions == 0o700)
    #expect(try FileStamp(of: pair.secretFile)?.permissions == 0o600)
    #expect(try FileStamp(of: pair.publicFile)?.permissions == 0o644)
    #expect(try KeyFile.secretKey(pair.secretFile).publicKey == KeyFile.read(pair.publicFile).publicKey)
  }

  @Test("nothing is replaced, and nothing is left behind where one of the two files is there", arguments: [".key", ".key_secret"])
  func exclusive(suffix: String) throws {
    let file = folder.write("mine", to: "keys/node-7" + suffix)
    let problem = refusal { _ = try write("node-7") }
    #expect(problem?.code == .alreadyExists)
    #expect(problem?.file == file.string)
    #expect(TemporaryFolder.contents(file) == Array("mine".utf8))
    #expect(TemporaryFolder.names(in: folder("keys")).count == 1)
  }

  @Test("nor does a link lead the secret elsewhere")
  func link() throws {
    folder.makeFolder(folder("keys"))
    #expect(symlink(folder("elsewhere").string, folder("keys/node-7.key_secret").string) == 0)
    #expect(refusal { _ = try write("node-7") }?.code == .alreadyExists)
    #expect(!TemporaryFolder.exists(folder("elsewhere")))
  }

  @Test("names are those of files in the folder", arguments: ["", ".hidden", "a/b", "..", "-x", "a b", "é", String(repeating: "a", count: 65)])
  func names(name: String) {
    #expect(!KeyFile.isName(name))
    #expect(KeyFile.isName("node-7.rack_2@site"))
  }

  @Test("a secret that others can read is refused with the command that helps, by its own name or a link's", arguments: [0o640, 0o604, 0o660, 0o601])
  func unprotected(mode: Int) throws {
    let file = try write("node-7").secretFile
    #expect(chmod(file.string, UInt32(mode)) == 0)
    #expect(symlink(file.string, folder("link").string) == 0)
    for path in [file, folder("keys"), folder("link")] {
      let problem = refusal { _ = try KeyFile.secretKey(path) }
      #expect(problem?.code == .keyUnprotected)
      #expect(problem?.remedy?.contains("chmod 600 /") == true)
    }
    #expect(chmod(file.string, 0o400) == 0)
    _ = try KeyFile.secretKey(folder("link"))
  }

  @Test("a folder stands for the one secret in it")
  func folderOfOne() throws {
    let pair = try write("one")
    #expect(try KeyFile.secretKey(folder("keys")).publicKey == KeyFile.secretKey(pair.secretFile).publicKey)
    _ = try write("two")
    #expect(refusal { _ = try KeyFile.secretKey(folder("keys")) }?.message.contains("2 files") == true)
    folder.makeFolder(folder("none"))
    #expect(refusal { _ = try KeyFile.secretKey(folder("none")) }?.remedy?.contains("keygen") == true)
    #expect(refusal { _ = try KeyFile.secretKey(folder("missing")) }?.code == .fileNotFound)
  }

  @Test("a public file is not taken for a secret one")
  func publicForSecret() throws {
    let pair = try write("node-7")
    for mode in [0o600, 0o644] {
      #expect(chmod(pair.publicFile.string, UInt32(mode)) == 0)
      let problem = refusal { _ = try KeyFile.secretKey(pair.publicFile) }
      #expect(problem?.code == .keyMissing && problem?.message == "is the public file")
      #expect(problem?.remedy?.hasPrefix("use \(pair.secretFile), ") == true)
    }
  }

  @Test("a secret file is not taken for a server's public one")
  func secretForPublic() throws {
    let pair = try write("head")
    let problem = refusal { _ = try KeyFile.publicKey(pair.secretFile.string) }
    #expect(problem?.code == .keyUnsuitable && problem?.remedy == "use the public file, \(pair.publicFile)")
  }

  @Test("a server's key is given as a file or as text")
  func serverKey() throws {
    let pair = try write("head")
    let key = try KeyFile.read(pair.publicFile).publicKey
    #expect(try KeyFile.publicKey(pair.publicFile.string) == key)
    #expect(try KeyFile.publicKey(key.z85) == key)
    #expect(refusal { _ = try KeyFile.publicKey("head.key") }?.code == .fileNotFound)
  }
}
