import Foundation
import SystemPackage
import TestSupport
import Testing

/// Coordinators and workers as processes, on loopback.
@Suite(.timeLimit(.minutes(10))) struct ClusterTests {
  let folder = TemporaryFolder()

  /// A pair of some megabytes, merged by one process for comparison.
  func prepare() throws -> Tool {
    let tool = Tool(folder: folder.path)
    #expect(try tool("sample", "--shape", "tiny", "--output", "pair").status == 0)
    let merge = try tool(
      "merge", "--sft", "pair/sft", "--aligned", "pair/aligned", "--alpha", "0.3", "--shard-size", "64KiB", "--output",
      "expected")
    #expect(merge.status == 0)
    return tool
  }

  func contents(_ name: String) -> [String: [UInt8]] {
    var files: [String: [UInt8]] = [:]
    // The model card names the command, and the report tells when what was done.
    for file in TemporaryFolder.names(in: folder(name)) where !["README.md", "report.html"].contains(file) {
      files[file] = TemporaryFolder.contents(folder(name).appending(file))
    }
    return files
  }

  @Test("three workers, direct and streamed, give the bytes of merge")
  func oneJob() throws {
    _ = try prepare()
    let cluster = try TestCluster(folder.path)
    let workers = try [
      cluster.worker("direct", roots: ["/"]), cluster.worker("streamed", roots: []),
      cluster.worker("portable", slots: 8, roots: [], environment: ["EXPOMERGE_CPU_LEVEL": "portable"]),
    ]
    for worker in workers { #expect(worker.waitFor("joined") != nil) }
    let submitted = try cluster.submit("out", "--wait")
    #expect(submitted.status == 0, "\(submitted.errors)")
    #expect(contents("out") == contents("expected"))
    #expect(!TemporaryFolder.exists(folder("out.partial")))
    #expect(try cluster.workers()["portable"]?["level"] as? String == "portable")
    for worker in workers { #expect(worker.terminate() == 0) }
    #expect(cluster.coordinator.terminate() == 0)
  }

  @Test("several alphas, direct and streamed, with a worker killed, give the bytes of merges with one each")
  func alphas() throws {
    let tool = try prepare()
    #expect(
      try tool(
        "merge", "--sft", "pair/sft", "--aligned", "pair/aligned", "--alpha", "-0.5", "--shard-size", "64KiB", "--output",
        "expected-2").status == 0)
    let cluster = try TestCluster(folder.path)
    let slow = try cluster.worker("slow", roots: [], more: ["--limit-rate", "200KB"])
    #expect(slow.waitFor("joined") != nil)
    let job = try cluster.submit("out", "--alpha", "0.3,-0.5")
    #expect(job.status == 0, "\(job.errors)")
    try cluster.wait(forWorker: "slow")
    slow.kill()
    let workers = try [cluster.worker("direct", roots: ["/"]), cluster.worker("streamed", roots: [])]
    for worker in workers { #expect(worker.waitFor("joined") != nil) }
    #expect(try cluster.wait(for: "complete") == "complete")
    #expect(contents("out/alpha-0.3") == contents("expected") && contents("out/alpha--0.5") == contents("expected-2"))
    let verified = try tool("verify", "out")
    #expect(verified.status == 0 && verified.output.contains("out/alpha--0.5\n"))
    for worker in workers { #expect(worker.terminate() == 0) }
    #expect(cluster.coordinator.terminate() == 0)
  }

  /// Merges a pair with one process, and with a worker that reads its files in place and one to which they are streamed.
  func expectSameFromBoth(_ tool: Tool, _ pair: [String]) throws {
    #expect(try tool.run(["merge"] + pair + ["--output", "expected"]).status == 0)
    let cluster = try TestCluster(folder.path)
    let workers = try [cluster.worker("direct", roots: ["/"]), cluster.worker("streamed", roots: [])]
    for worker in workers { #expect(worker.waitFor("joined") != nil) }
    let submitted = try cluster.submit("out", "--wait")
    #expect(submitted.status == 0, "\(submitted.errors)")
    #expect(contents("out") == contents("expected"))
    #expect(try tool("verify", "out", "--recompute").status == 0)
    for worker in workers { #expect(worker.terminate() == 0) }
  }

  @Test("PyTorch files are streamed and read in place like others")
  func pyTorch() throws {
    for (side, factor) in [("aligned", 7), ("sft", 5)] {
      // Finite F32, whatever the other bytes.
      let bytes = (0..<2_400_000).map { UInt8(truncatingIfNeeded: $0 % 4 == 3 ? 0x3F : $0 / 4 * factor) }
      let head = PyTorchFile.Tensor("lm_head.weight", "Float", shape: [200, 3000], bytes: bytes)
      let norm = PyTorchFile.Tensor("model.norm.weight", "Float", shape: [], bytes: Array(bytes.prefix(4)))
      // 1.8 MB of a storage that is in two chunks with what is around it; and one in which few of many bytes are its own.
      let across = PyTorchFile.Tensor("across.weight", "Float", shape: [500, 900], bytes: bytes, strides: [1, 600], offset: 60)
      let apart = PyTorchFile.Tensor("apart.weight", "BFloat16", shape: [30_000], bytes: bytes, strides: [37], offset: 1)
      let tied = PyTorchFile.Tensor("model.embed_tokens.weight", tiedTo: head)
      folder.write(PyTorchFile.encode([norm, head, across, tied, apart]), to: "pair/\(side)/pytorch_model.bin")
    }
    let tool = Tool(folder: folder.path)
    let pair = ["--sft", "pair/sft", "--aligned", "pair/aligned", "--alpha", "0.3", "--shard-size", "64KiB"]
    #expect(try tool("inspect", "pair/aligned").output.contains("lm_head.weight"))
    #expect(try tool.run(["plan"] + pair).status == 0)
    try expectSameFromBoth(tool, pair)
  }

  @Test("FP8 and its scales are streamed and read in place like others")
  func blockScales() throws {
    let config = #"{"quantization_config": {"quant_method": "fp8", "weight_block_size": [48, 80]}}"#
    for (side, factor) in [("aligned", 7), ("sft", 5)] {
      let codes = (0..<700 * 900).map { UInt8(truncatingIfNeeded: $0 &* factor % 251) }
      // Finite F32, whatever the other bytes.
      let scales = (0..<15 * 12 * 4).map { UInt8(truncatingIfNeeded: $0 % 4 == 3 ? 0x3C : $0 &* factor) }
      let norm = SafetensorsFile.Tensor("norm", "F32", [2], Array(scales.prefix(8)))
      let weight = SafetensorsFile.Tensor("a.weight", "F8_E4M3", [700, 900], codes)
      let file = SafetensorsFile.encode([.init("a.weight_scale_inv", "F32", [15, 12], scales), norm, weight])
      folder.write(file, to: "pair/\(side)/model.safetensors")
      folder.write(config, to: "pair/\(side)/config.json")
    }
    let tool = Tool(folder: folder.path)
    let pair = ["--sft", "pair/sft", "--aligned", "pair/aligned", "--alpha", "0.3", "--shard-size", "64KiB"]
    #expect(try tool("inspect", "pair/aligned").output.contains("F8_E4M3 x 48x80 scales"))
    #expect(try tool.run(["plan"] + pair).output.contains("F8_E4M3 x 48x80 scales to BF16"))
    #expect(try tool.run(["diagnose", "--sft", "pair/sft", "--aligned", "pair/aligned"]).output.contains("F8_E4M3 with 48x80 scales"))
    try expectSameFromBoth(tool, pair)
  }

  @Test("a recipe names models as hubs do: they are looked for in the coordinator's cache, and beneath its roots")
  func modelsByName() throws {
    let tool = Tool(folder: folder.path)
    #expect(try tool("sample", "--shape", "tiny", "--output", "pair").status == 0)
    let cache = folder("hf/hub")
    for side in ["sft", "aligned"] {
      for name in TemporaryFolder.names(in: folder("pair/\(side)")) {
        let bytes = try #require(TemporaryFolder.contents(folder("pair/\(side)").appending(name)))
        folder.write(bytes, to: "hf/hub/models--org--\(side)/snapshots/0123abc/\(name)")
      }
      folder.write("0123abc", to: "hf/hub/models--org--\(side)/refs/main")
    }
    let rules = "alpha: 0.3\nshard_size: 64KiB\nrules: [{part: mlp, alpha: [0, 0.5]}, {tensors: '*embed*', alpha: 0}]\n"
    folder.write("sft: pair/sft\naligned: pair/aligned\n" + rules, to: "paths.yaml")
    #expect(try tool("merge", "--recipe", "paths.yaml", "--output", "expected").status == 0)
    folder.write("sft: org/sft\naligned: org/aligned@main\n" + rules, to: "names.yaml")
    let cluster = try TestCluster(folder.path, environment: ["HF_HUB_CACHE": cache.string], more: ["--root", folder.path.string])
    let worker = try cluster.worker("streamed", roots: [])
    func submit(_ output: String, _ more: String...) throws -> Tool.Result {
      try tool.run(["submit", "--coordinator", cluster.address, "--recipe", "names.yaml", "--output", output, "--wait"] + more)
    }
    let submitted = try submit("out")
    #expect(submitted.status == 0, "\(submitted.errors)")
    // The manifest names where the inputs are.
    let merged = contents("out").filter { $0.key != "expomerge.json" }
    #expect(merged == contents("expected").filter { $0.key != "expomerge.json" } && merged.count > 3)
    let missing = try submit("other", "--sft", "org/none")
    #expect(missing.status == 66 && missing.errors.contains("hf download org/none"))
    #expect(worker.terminate() == 0)
    #expect(cluster.coordinator.terminate() == 0)
    let confined = try TestCluster(
      folder.path, state: folder("state2"), environment: ["HF_HUB_CACHE": cache.string], more: ["--root", folder("pair").string])
    let refused = try tool("submit", "--coordinator", confined.address, "--recipe", "names.yaml", "--output", "pair/out", "--wait")
    #expect(refused.status == 77, "\(refused.errors)")
  }

  @Test("a slot that is done only after its output was stored is not forgotten")
  func slowSlot() throws {
    _ = try prepare()
    let cluster = try TestCluster(folder.path)
    // The limit makes the slot wait behind its last block. There is no other worker that could help out.
    let worker = try cluster.worker("slow", slots: 2, roots: [], more: ["--limit-rate", "500KB"])
    #expect(try cluster.submit("out", "--wait").status == 0)
    #expect(contents("out") == contents("expected"))
    // The report names who worked, as the coordinator's journal has it.
    let page = String(decoding: TemporaryFolder.contents(folder("out/report.html")) ?? [], as: UTF8.self)
    #expect(page.contains("<h2>Workers</h2>") && page.contains(">slow</th>"))
    #expect(worker.terminate() == 0)
  }

  @Test("four jobs at once, on workers that came before and after them")
  func fourJobs() throws {
    _ = try prepare()
    let cluster = try TestCluster(folder.path)
    var workers = [try cluster.worker("early", roots: ["/"])]
    for number in 1...4 { #expect(try cluster.submit("out\(number)", "--priority", "\(number % 2)").status == 0) }
    workers += try [cluster.worker("late", roots: []), cluster.worker("later", slots: 2, roots: ["/"])]
    for number in 1...4 {
      #expect(try cluster.wait(for: "complete", job: number) == "complete")
      #expect(contents("out\(number)") == contents("expected"))
    }
    withExtendedLifetime(workers) {}
  }

  @Test("a worker that is killed in the middle costs what it had in flight")
  func killed() throws {
    _ = try prepare()
    let cluster = try TestCluster(folder.path)
    // So slow that it is in the middle of a shard for seconds.
    let victim = try cluster.worker("victim", roots: ["/"], more: ["--limit-rate", "100KB"])
    #expect(victim.waitFor("joined") != nil)
    let waiting = try cluster.tool.start([
      "submit", "--coordinator", cluster.address, "--sft", "pair/sft", "--aligned", "pair/aligned", "--alpha", "0.3",
      "--shard-size", "64KiB", "--output", "out", "--wait",
    ])
    try cluster.wait(forWorker: "victim", toHave: "running")
    victim.kill()
    let heir = try cluster.worker("heir", roots: ["/"])
    #expect(waiting.result().status == 0)
    #expect(contents("out") == contents("expected"))
    #expect(cluster.coordinator.text.contains("worker victim was lost"))
    #expect(heir.terminate() == 0)
  }

  @Test("a stale copy of a model of the same shape is noticed, streamed to, and told")
  func staleCopy() throws {
    let tool = try prepare()
    #expect(try tool("sample", "--shape", "tiny", "--output", "other", "--seed", "99").status == 0)
    let cluster = try TestCluster(folder.path)
    let mapped = folder("pair").string + "=" + folder("other").string
    let worker = try cluster.worker("stale", roots: ["/"], more: ["--map", mapped])
    #expect(worker.waitFor("joined") != nil)
    #expect(try cluster.submit("out", "--wait").status == 0)
    #expect(contents("out") == contents("expected"))
    #expect(worker.text.contains("other contents"))
    #expect(cluster.coordinator.text.contains("other contents"))
  }

  @Test("a job that fails leaves the others alone, and says why")
  func failingJob() throws {
    let tool = try prepare()
    #expect(try tool("sample", "--shape", "tiny", "--output", "bad").status == 0)
    let cluster = try TestCluster(folder.path)
    #expect(
      try tool(
        "submit", "--coordinator", cluster.address, "--sft", "bad/sft", "--aligned", "bad/aligned", "--alpha", "0.3",
        "--shard-size", "64KiB", "--output", "never"
      ).status == 0)
    // The inputs shrink once the job is planned.
    for side in ["sft", "aligned"] { #expect(truncate(folder("bad/\(side)/model.safetensors").string, 60_000) == 0) }
    let workers = try (1...3).map { try cluster.worker("w\($0)", roots: ["/"]) }
    #expect(try cluster.submit("out", "--wait").status == 0)
    #expect(contents("out") == contents("expected"))
    #expect(try cluster.wait(for: "failed") == "failed")
    let problems = try cluster.job(1)?["problems"] as? [[String: Any]] ?? []
    #expect(problems.contains { ($0["file"] as? String ?? "").contains("bad/") })
    #expect(!TemporaryFolder.exists(folder("never")))
    withExtendedLifetime(workers) {}
  }

  @Test("a worker that starts before its coordinator, and one whose coordinator comes back, join")
  func anyOrder() throws {
    _ = try prepare()
    var cluster: TestCluster? = try TestCluster(folder.path)
    let address = cluster?.address ?? ""
    let worker = try cluster?.worker("w", roots: ["/"])
    #expect(worker?.waitFor("joined") != nil)
    #expect(cluster?.coordinator.terminate() == 0)
    cluster = nil
    #expect(worker?.waitFor("is silent") != nil)
    let again = try Daemon(
      ["coordinator", "--listen", address, "--state", folder("state").string], in: folder.path)
    #expect(again.waitFor("worker w joined") != nil)
    #expect(again.text.contains("epoch 2"))
    worker?.signal(SIGHUP)
    worker?.signal(SIGUSR1)
    #expect(worker?.waitFor("SIGUSR1") != nil)
    #expect(worker?.terminate() == 0)
  }

  @Test("a job goes on when its coordinator was killed and comes back; the worker that lived through it joins again")
  func coordinatorKilled() throws {
    let tool = try prepare()
    var cluster: TestCluster? = try TestCluster(folder.path)
    let address = cluster?.address ?? ""
    let worker = try cluster?.worker("w", roots: ["/"], more: ["--limit-rate", "100KB"])
    #expect(worker?.waitFor("joined") != nil)
    #expect(try cluster?.submit("out").status == 0)
    try cluster?.wait(forWorker: "w")
    cluster?.coordinator.kill()
    cluster = nil
    let again = try Daemon(["coordinator", "--listen", address, "--state", folder("state").string], in: folder.path)
    #expect(again.waitFor("shards are done") != nil)
    #expect(again.waitFor("worker w joined") != nil)
    #expect(again.waitFor("job 1 is complete") != nil)
    #expect(contents("out") == contents("expected"))
    #expect(!TemporaryFolder.exists(folder("out.partial")))
    // Nothing that was done was computed again.
    #expect(!again.text.contains("computed again"))
    #expect(try tool("resume", "1", "--coordinator", address).status == 66)
    // The next life knows what it was.
    func job() throws -> [String: Any]? {
      (try tool("status", "1", "--coordinator", address, "--json").objects.first?["jobs"] as? [[String: Any]])?.first
    }
    let before = try job()
    #expect(again.terminate() == 0)
    let third = try Daemon(["coordinator", "--listen", address, "--state", folder("state").string], in: folder.path)
    #expect(third.waitFor("worker w joined") != nil)
    for name in ["bytes", "bytesDone", "shards", "shardsDone"] {
      let known = try #require(before?[name] as? Int)
      #expect(known > 0)
      #expect(poll(for: "\(name) of the job that is over") { (try? job())?[name] as? Int == known ? known : nil } == known)
    }
    #expect(third.terminate() == 0)
  }

  @Test("a job that was cancelled and resumed goes on when its coordinator was killed after that")
  func killedAfterResuming() throws {
    let tool = try prepare()
    var cluster: TestCluster? = try TestCluster(folder.path)
    let address = cluster?.address ?? ""
    let worker = try cluster?.worker("w", roots: ["/"], more: ["--limit-rate", "100KB"])
    #expect(worker?.waitFor("joined") != nil)
    #expect(try cluster?.submit("out").status == 0)
    #expect(try tool("cancel", "1", "--coordinator", address).status == 0)
    #expect(cluster?.coordinator.waitFor("job 1 was cancelled") != nil)
    #expect(try tool("resume", "1", "--coordinator", address).status == 0)
    cluster?.coordinator.kill()
    cluster = nil
    let again = try Daemon(["coordinator", "--listen", address, "--state", folder("state").string], in: folder.path)
    #expect(again.waitFor("job 1 is gone on with") != nil)
    #expect(again.waitFor("job 1 is complete") != nil)
    #expect(contents("out") == contents("expected"))
  }

  @Test("a merge is proved by the workers of a coordinator, wherever they reach it")
  func verifies() throws {
    let tool = try prepare()
    let cluster = try TestCluster(folder.path)
    let verify = ["verify", "expected", "--recompute", "--coordinator", cluster.address]
    for (name, roots) in [("direct", ["/"]), ("streamed", [])] {
      let worker = try cluster.worker(name, roots: roots)
      let right = try tool.run(verify)
      #expect(right.status == 0, "\(right.errors)")
      #expect(right.output.contains("verified \(folder("expected"))"), "\(right.output)")
      #expect(worker.terminate() == 0)
    }
    let workers = try [cluster.worker("direct", roots: ["/"]), cluster.worker("streamed", roots: [])]
    for worker in workers { #expect(worker.waitFor("joined") != nil) }
    let sample = try tool.run(verify + ["--sample", "1", "--json"])
    #expect(sample.status == 0 && sample.objects.last?["type"] as? String == "verified", "\(sample.output)")

    // A byte of the second shard changes, and a file beside the weights.
    let weights = folder("expected/model.safetensors")
    var bytes = try #require(TemporaryFolder.contents(weights))
    bytes[100_000] ^= 1
    folder.write(bytes, to: "expected/model.safetensors")
    folder.write("{}", to: "expected/config.json")
    let wrong = try tool.run(verify)
    #expect(wrong.status == 65)
    #expect(wrong.errors.contains("model.safetensors (byte 65536): shard 1 of 65536 bytes is not what was merged"), "\(wrong.errors)")
    #expect(wrong.errors.contains("config.json"), "\(wrong.errors)")
    #expect(!wrong.errors.contains("computed again"), "\(wrong.errors)")
    #expect(try cluster.job(3)?["kind"] as? String == "verify")

    // Other inputs of the same shapes are not taken for those that were merged.
    #expect(try tool("sample", "--shape", "tiny", "--output", "other", "--seed", "99").status == 0)
    let others = try tool.run(verify + ["--aligned", "other/aligned"])
    #expect(others.status == 65 && others.errors.contains("not the one that was merged"), "\(others.errors)")
    truncate(weights.string, 1000)
    let short = try tool.run(verify)
    #expect(short.status == 65 && short.errors.contains("has 1000 bytes instead of"), "\(short.errors)")
    for worker in workers { #expect(worker.terminate() == 0) }
  }

  @Test("a coordinator with roots reads and writes nothing outside of them")
  func roots() throws {
    let tool = try prepare()
    folder.write("secret", to: "out/secret")
    rename(folder("pair").string, folder("outside").string)
    folder.makeFolder(folder("in"))
    #expect(try tool("sample", "--shape", "tiny", "--output", "in/pair").status == 0)
    let coordinator = try Daemon(
      ["coordinator", "--listen", "tcp://127.0.0.1:0", "--state", "state", "--root", "in"], in: folder.path)
    let line = coordinator.waitFor("listens at") ?? ""
    let address = line.split(separator: " ").first { $0.hasPrefix("tcp://") }.map { String($0.dropLast()) } ?? ""
    let worker = try Daemon(["worker", "--coordinator", address], in: folder.path)
    func submit(sft: String = "in/pair/sft", to output: String) throws -> Tool.Result {
      try tool(
        "submit", "--coordinator", address, "--sft", sft, "--aligned", "in/pair/aligned", "--alpha", "0.3", "--output", output,
        "--wait")
    }
    func expectRefusal(_ result: Tool.Result, sourceLocation: SourceLocation = #_sourceLocation) {
      #expect([77, 73].contains(result.status), "\(result.errors)", sourceLocation: sourceLocation)
      #expect(result.errors.contains("lies outside of the folders"), "\(result.errors)", sourceLocation: sourceLocation)
    }
    expectRefusal(try submit(sft: "outside/sft", to: "in/merged"))
    expectRefusal(try submit(to: "out/merged"))
    #expect(symlink(folder("out").string, folder("in/way").string) == 0)
    expectRefusal(try submit(to: "in/way/merged"))
    // Files beside the weights are copied: not those that lie elsewhere.
    #expect(symlink(folder("out/secret").string, folder("in/pair/aligned/notes.txt").string) == 0)
    expectRefusal(try submit(to: "in/merged"))
    unlink(folder("in/pair/aligned/notes.txt").string)
    #expect(TemporaryFolder.names(in: folder("out")) == ["secret"])
    #expect(try submit(to: "in/merged").status == 0)
    expectRefusal(try tool("verify", "outside", "--recompute", "--coordinator", address))
    #expect(try tool("verify", "in/merged", "--recompute", "--coordinator", address).status == 0)
    #expect(worker.terminate() == 0)
  }

  @Test("SIGTERM is not lost however early it comes; the second one ends at once")
  func terminated() throws {
    _ = try prepare()
    for _ in 0..<5 { #expect(try TestCluster(folder.path).coordinator.terminate() == 0) }
    let cluster = try TestCluster(folder.path)
    let worker = try cluster.worker("w", roots: ["/"], more: ["--limit-rate", "1KB"])
    #expect(try cluster.submit("out").status == 0)
    try cluster.wait(forWorker: "w", toHave: "running")
    for daemon in [worker, cluster.coordinator] {
      daemon.signal(SIGHUP)
      #expect(daemon.waitFor("SIGHUP") != nil)
      daemon.signal(SIGTERM)
      #expect(daemon.waitFor("SIGTERM") != nil)
      daemon.signal(SIGTERM)
      #expect(daemon.waitForEnd() == SIGTERM)
    }
  }

  @Test("a data address that workers would not find is refused")
  func dataAddress() throws {
    let tool = Tool(folder: folder.path)
    for data in ["ipc:///tmp/x", "tcp://127.0.0.2:0"] {
      let result = try tool("coordinator", "--listen", "tcp://127.0.0.1:0", "--listen-data", data, "--state", "s")
      #expect(result.status == 64)
      #expect(result.errors.contains("where workers look for it"))
    }
  }

  @Test("drain lets a worker end; cancel ends a job and leaves what it made")
  func drainAndCancel() throws {
    let tool = try prepare()
    let cluster = try TestCluster(folder.path)
    let worker = try cluster.worker("w", roots: ["/"], more: ["--limit-rate", "100KB"])
    #expect(worker.waitFor("joined") != nil)
    #expect(try cluster.submit("out").status == 0)
    #expect(try tool("cancel", "1", "--coordinator", cluster.address).status == 0)
    #expect(try cluster.wait(for: "cancelled") == "cancelled")
    #expect(TemporaryFolder.exists(folder("out.partial")))
    #expect(try tool("cancel", "1", "--coordinator", cluster.address).status == 66)
    #expect(try tool("drain", "nobody", "--coordinator", cluster.address).status == 66)
    #expect(try tool("drain", "w", "--coordinator", cluster.address).status == 0)
    #expect(worker.process.wait() == .exited(0))
  }

  @Test("merge --listen lets workers join one job")
  func mergeListens() throws {
    let tool = try prepare()
    let merge = try Daemon(
      [
        "merge", "--sft", "pair/sft", "--aligned", "pair/aligned", "--alpha", "0.3", "--shard-size", "64KiB", "--output",
        "out", "--listen", "tcp://127.0.0.1:0", "--limit-rate", "20KB", "--threads", "1",
      ], in: folder.path)
    let line = merge.waitFor("listens at") ?? ""
    let address = line.split(separator: " ").first { $0.hasPrefix("tcp://") }.map { String($0.dropLast()) } ?? ""
    let helper = try Daemon(["worker", "--coordinator", address, "--name", "helper"], in: folder.path)
    #expect(merge.waitFor("worker helper is ready") != nil)
    #expect(merge.process.wait() == .exited(0), "\(merge.text)")
    #expect(contents("out") == contents("expected"))
    #expect(helper.terminate() == 0)
    withExtendedLifetime(tool) {}
  }

  @Test("a second coordinator on one state folder is kept out, and told by whom")
  func secondCoordinator() throws {
    let cluster = try TestCluster(folder.path)
    let second = try cluster.tool("coordinator", "--listen", "tcp://127.0.0.1:0", "--state", "state")
    #expect(second.status == 73)
    #expect(second.errors.contains("process \(cluster.coordinator.process.id)"))
  }

  @Test("nobody there: exit 69, with what to do")
  func unreachable() throws {
    let tool = Tool(folder: folder.path)
    let result = try tool("status", "--coordinator", "tcp://127.0.0.1:1", "--timeout", "1")
    #expect(result.status == 69)
    #expect(result.errors.contains("no coordinator answers at tcp://127.0.0.1:1"))
  }
}
