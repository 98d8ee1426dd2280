import Foundation
import SystemPackage
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(10))) struct KeygenCommandTests {
  let folder = TemporaryFolder()
  var tool: Tool { Tool(folder: folder.path) }

  func mode(_ path: FilePath) -> UInt32 {
    var info = stat()
    return stat(path.string, &info) == 0 ? info.st_mode & 0o777 : 0
  }

  func text(_ path: FilePath) -> String { String(decoding: TemporaryFolder.contents(path) ?? [], as: UTF8.self) }

  @Test("two files, each with the mode that it needs, and a word on what to do with them")
  func made() throws {
    let result = try tool("keygen", "--output", "keys", "--name", "node-7", "--role", "worker")
    #expect(result.status == 0, "\(result.errors)")
    #expect(mode(folder("keys")) == 0o700)
    #expect(mode(folder("keys/node-7.key_secret")) == 0o600)
    #expect(mode(folder("keys/node-7.key")) == 0o644)
    #expect(text(folder("keys/node-7.key")).contains("role = \"worker\""))
    #expect(result.output.contains("Copy keys/node-7.key to the coordinator's --authorized folder"))
    let secret = try #require(text(folder("keys/node-7.key_secret")).split(separator: "secret-key = \"").last?.prefix(40))
    #expect(!result.output.contains(secret) && !result.errors.contains(secret))
    #expect(!text(folder("keys/node-7.key")).contains(secret))
  }

  @Test("the same for programs")
  func json() throws {
    let result = try tool("keygen", "--output", "keys", "--name", "ann", "--role", "operator", "--role", "worker", "--json")
    let object = try #require(result.objects.first)
    #expect(object["type"] as? String == "key")
    #expect(object["roles"] as? [String] == ["worker", "operator"])
    #expect((object["publicKey"] as? String)?.count == 40)
    #expect((object["fingerprint"] as? String)?.count == 16)
    #expect(text(folder("keys/ann.key")).contains(object["publicKey"] as? String ?? "?"))
    #expect(!result.output.contains("secret-key"))
  }

  @Test("nothing is replaced, whatever is asked for")
  func twice() throws {
    #expect(try tool("keygen", "--output", "keys", "--name", "head").status == 0)
    let before = [text(folder("keys/head.key")), text(folder("keys/head.key_secret"))]
    let result = try tool("keygen", "--output", "keys", "--name", "head")
    #expect(result.status == 73)
    #expect(result.errors.contains("never replaced"))
    #expect([text(folder("keys/head.key")), text(folder("keys/head.key_secret"))] == before)
  }

  @Test("names that lead elsewhere and roles that are none are refused", arguments: ["../x", ".x", "a/b", ""])
  func names(name: String) throws {
    #expect(try tool("keygen", "--output", "keys", "--name", name).status == 64)
    #expect(try tool("keygen", "--output", "keys", "--name", "x", "--role", "admin").status == 64)
    #expect(!TemporaryFolder.exists(folder("keys")))
  }
}
