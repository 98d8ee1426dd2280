import Foundation
import SystemPackage
import TestSupport
import Testing

/// Coordinators that have keys, with those that they know and those that they do not.
@Suite(.timeLimit(.minutes(10))) struct KeyedClusterTests {
  let folder = TemporaryFolder()

  /// A coordinator with a pair to merge, an operator and a viewer.
  struct Site {
    let keys: Keyring
    let cluster: TestCluster

    func ask(_ arguments: [String], as name: String) throws -> Tool.Result {
      try cluster.tool.run(arguments + ["--coordinator", cluster.address] + keys.connecting(name))
    }

    func submit(_ output: String, as name: String, _ more: String...) throws -> Tool.Result {
      try cluster.tool.run(cluster.submission(output, more + keys.connecting(name)))
    }

    func worker(_ name: String, key: String? = nil, more: [String] = []) throws -> Daemon {
      try cluster.worker(name, roots: ["/"], more: keys.connecting(key ?? name) + more)
    }
  }

  func site(_ workers: String...) throws -> Site {
    let tool = Tool(folder: folder.path)
    #expect(try tool("sample", "--shape", "tiny", "--output", "pair").status == 0)
    let keys = try Keyring(folder.path)
    try keys.authorize("ann", "operator")
    try keys.authorize("vic", "viewer")
    for worker in workers { try keys.authorize(worker, "worker") }
    return Site(keys: keys, cluster: try TestCluster(folder.path, more: keys.listening))
  }

  func isMerged(_ output: String) throws -> Bool {
    let tool = Tool(folder: folder.path)
    let merge = try tool(
      "merge", "--sft", "pair/sft", "--aligned", "pair/aligned", "--alpha", "0.3", "--shard-size", "64KiB", "--output",
      "expected", "--overwrite")
    let files = ["model.safetensors", "config.json"]
    return merge.status == 0
      && files.allSatisfy { name in
        let bytes = TemporaryFolder.contents(folder("expected/\(name)"))
        return bytes != nil && bytes == TemporaryFolder.contents(folder("\(output)/\(name)"))
      }
  }

  @Test("authorized workers, direct and streamed, merge under CURVE with the right bytes")
  func merges() throws {
    let site = try site("w1")
    let direct = try site.worker("w1")
    let streamed = try site.cluster.worker("w2", roots: [], more: site.keys.connecting("w1"))
    for worker in [direct, streamed] { #expect(worker.waitFor("joined") != nil) }
    let submitted = try site.submit("out", as: "ann", "--wait")
    #expect(submitted.status == 0, "\(submitted.errors)")
    #expect(try isMerged("out"))
    for worker in [direct, streamed] { #expect(worker.terminate() == 0) }
    #expect(site.cluster.coordinator.terminate() == 0)
  }

  @Test("an unknown key, no key and another server's key get nothing")
  func strangers() throws {
    let site = try site()
    try site.keys.make("eve", roles: ["operator", "worker"])
    let asked = try site.ask(["status"], as: "eve")
    #expect(asked.status == 77)
    #expect(asked.errors.contains("does not let you in"))
    #expect(asked.output.isEmpty)
    let worker = try site.worker("eve")
    #expect(worker.waitFor("does not let this worker in") != nil)
    let bare = try site.cluster.tool("status", "--coordinator", site.cluster.address, "--timeout", "2")
    #expect(bare.status == 69)
    #expect(bare.errors.contains("it may want keys"))
    let wrong = try site.cluster.tool.run([
      "status", "--coordinator", site.cluster.address, "--timeout", "2", "--keys", "keys/ann.key_secret", "--server-key",
      "keys/eve.key",
    ])
    #expect(wrong.status == 69)
    #expect(wrong.output.isEmpty)
    #expect(site.cluster.coordinator.text.contains("unknown-key"))
    // As it was not known then, and is now.
    try FileManager.default.copyItem(
      atPath: folder("keys/eve.key").string, toPath: site.keys.authorized.appending("eve.key").string)
    #expect(worker.waitFor("joined") != nil)
  }

  @Test("a viewer can look but not cancel, an operator both; a worker's key cannot hand in jobs, an operator's cannot work")
  func roles() throws {
    let site = try site("w1")
    #expect(try site.submit("out", as: "vic").status == 77)
    let submitted = try site.submit("out", as: "w1")
    #expect(submitted.status == 77)
    #expect(submitted.errors.contains("has the role worker only"))
    #expect(try site.ask(["status"], as: "w1").status == 77)
    #expect(try site.submit("out", as: "ann").status == 0)
    #expect(try site.ask(["status"], as: "vic").status == 0)
    for name in ["vic", "w1"] {
      for command in [["cancel", "1"], ["resume", "1"], ["drain", "w1"], ["verify", "out", "--recompute"]] {
        #expect(try site.ask(command, as: name).status == 77, "\(command[0]) as \(name)")
      }
    }
    let impostor = try site.worker("ann")
    #expect(impostor.waitFor("has the role operator only") != nil)
    #expect(try site.ask(["cancel", "1"], as: "ann").status == 0)
    let status = try site.ask(["status", "--json"], as: "vic").objects.first
    let discarded = (status?["coordinator"] as? [String: Any])?["discarded"] as? [String: Int]
    #expect(discarded?["not-permitted"] ?? 0 >= 12)
  }

  @Test("a worker whose key's file is removed is sent away, and its job goes on with another")
  func revoked() throws {
    let site = try site("w1", "w2")
    let victim = try site.worker("w1", more: ["--limit-rate", "20KB"])
    #expect(victim.waitFor("joined") != nil)
    #expect(try site.submit("out", as: "ann").status == 0)
    #expect(victim.waitFor("output direct") != nil)
    site.keys.revoke("w1")
    #expect(site.cluster.coordinator.waitFor("worker w1 is sent away") != nil)
    #expect(victim.waitFor("is not authorized any more") != nil)
    #expect(victim.waitFor("does not let this worker in") != nil)
    let heir = try site.worker("w2")
    #expect(site.cluster.coordinator.waitFor("job 1 is complete") != nil)
    #expect(try isMerged("out"))
    withExtendedLifetime((victim, heir)) {}
  }

  @Test("a client whose key's file is removed is refused, also on a connection that it has")
  func revokedClient() throws {
    let site = try site()
    let watching = try site.cluster.tool.start(
      ["status", "--watch", "--json", "--coordinator", site.cluster.address] + site.keys.connecting("vic"))
    #expect(site.cluster.coordinator.waitFor("listens at") != nil)
    _ = try poll(for: "the viewer to be let in") { try site.ask(["status"], as: "vic").status == 0 ? () : nil }
    site.keys.revoke("vic")
    #expect(watching.result().status == 77)
  }

  @Test("status tells by its key which worker is which, whatever it calls itself")
  func fingerprints() throws {
    let site = try site()
    let fingerprint = try site.keys.authorize("w1", "worker")
    let worker = try site.worker("head", key: "w1")
    #expect(site.cluster.coordinator.waitFor("worker head joined")?.contains("key \(fingerprint)") == true)
    let status = try site.ask(["status", "--json"], as: "vic").objects.first
    let listed = (status?["workers"] as? [[String: Any]])?.first
    #expect(listed?["name"] as? String == "head")
    #expect(listed?["key"] as? String == fingerprint)
    #expect(try site.ask(["status"], as: "vic").output.contains("\(fingerprint)  active"))
    withExtendedLifetime(worker) {}
  }

  @Test("merge --listen has keys too, and its own worker needs none")
  func merge() throws {
    let tool = Tool(folder: folder.path)
    #expect(try tool("sample", "--shape", "tiny", "--output", "pair").status == 0)
    let keys = try Keyring(folder.path)
    try keys.authorize("w1", "worker")
    let merge = try Daemon(
      [
        "merge", "--sft", "pair/sft", "--aligned", "pair/aligned", "--alpha", "0.3", "--shard-size", "64KiB", "--output",
        "out", "--listen", "tcp://127.0.0.1:0", "--limit-rate", "20KB", "--threads", "1",
      ] + keys.listening, in: folder.path)
    let line = merge.waitFor("listens at") ?? ""
    let address = line.split(separator: " ").first { $0.hasPrefix("tcp://") }.map { String($0.dropLast()) } ?? ""
    let worker = try Daemon(
      ["worker", "--coordinator", address, "--name", "w1", "--root", "/"] + keys.connecting("w1"), in: folder.path)
    #expect(worker.waitFor("joined") != nil)
    #expect(merge.process.wait() == .exited(0))
    #expect(try isMerged("out"))
  }

  @Test("listening to a network needs keys, or the word that none are wanted", arguments: ["tcp://0.0.0.0:0", "tcp://*:0"])
  func offLoopback(address: String) throws {
    let tool = Tool(folder: folder.path)
    let refused = try tool("coordinator", "--listen", address, "--state", "state")
    #expect(refused.status == 77)
    #expect(refused.errors.contains("expomerge keygen") && refused.errors.contains("--authorized"))
    #expect(!TemporaryFolder.exists(folder("state")))
    let insecure = try Daemon(["coordinator", "--listen", address, "--state", "state", "--insecure"], in: folder.path)
    #expect(insecure.waitFor("no keys: whoever reaches") != nil)
    #expect(insecure.terminate() == 0)
  }

  @Test("a secret that others can read, one option of two, and a missing folder are told before anything begins")
  func options() throws {
    let keys = try Keyring(folder.path)
    let start = ["coordinator", "--listen", "tcp://127.0.0.1:0", "--state", "state"]
    #expect(try keys.tool.run(start + ["--keys", "keys"]).status == 64)
    #expect(try keys.tool.run(start + ["--insecure"] + keys.listening).status == 64)
    #expect(try keys.tool.run(start + ["--keys", "keys", "--authorized", "nowhere"]).status == 66)
    #expect(try keys.tool("status", "--keys", "keys").status == 64)
    #expect(chmod(folder("keys/coordinator.key_secret").string, 0o644) == 0)
    let open = try keys.tool.run(start + keys.listening)
    #expect(open.status == 77)
    #expect(open.errors.contains("chmod 600 keys/coordinator.key_secret"))
  }
}
