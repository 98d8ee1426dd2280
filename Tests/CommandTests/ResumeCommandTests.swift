import FileIO
import Foundation
import SystemPackage
import TestSupport
import Testing

/// What is refused, what is kept and what is believed when a merge or a job is gone on with, by processes.
@Suite("Going on, from the command line", .timeLimit(.minutes(10))) struct ResumeCommandTests {
  let site = Site()

  // MARK: merge

  enum Change: String, CaseIterable {
    case contents, missing, alpha, dtype, shardSize

    var status: Int32 {
      switch self {
      case .contents: 65
      case .missing: 66
      default: 73
      }
    }

    /// What the message names.
    var words: [String] {
      switch self {
      case .contents: ["pair/sft/model.safetensors", "sft is not what it was", "--restart"]
      case .missing: ["pair/sft"]
      case .alpha: ["alpha was 0.3 and is 0.4", "out.partial", "--restart"]
      case .dtype: ["dtype was that of aligned and is F32", "out.partial", "--restart"]
      case .shardSize: ["the shard size was 65536 and is 131072", "out.partial", "--restart"]
      }
    }

    var options: [String] {
      switch self {
      case .alpha: ["--alpha", "0.4"]
      case .dtype: ["--dtype", "f32"]
      case .shardSize: ["--shard-size", "128KiB"]
      default: []
      }
    }
  }

  @Test("something else than what was begun is refused; nothing is lost by it", arguments: Change.allCases)
  func refused(change: Change) async throws {
    let site = site
    let (refused, before, after, again) = try await onThread {
      _ = try site.crash(at: .folderSynced, Site.merge("out"))
      let before = site.contents("out.partial")?.filter { !$0.key.hasPrefix(".expomerge") }
      let input = site.folder("pair/sft/model.safetensors")
      if change == .contents { Site.flip(input, at: 200_000) }
      if change == .missing { rename(input.string, input.string + ".away") }
      // The last option of a kind counts.
      let refused = try site.tool.run(Site.merge("out", change.options))
      let after = site.contents("out.partial")?.filter { !$0.key.hasPrefix(".expomerge") }
      if change == .contents { Site.flip(input, at: 200_000) }
      if change == .missing { rename(input.string + ".away", input.string) }
      return (refused, before, after, try site.tool.run(Site.merge("out", ["--json"])))
    }
    #expect(refused.status == change.status, "\(refused.errors)")
    for words in change.words { #expect(refused.errors.contains(words), "\(refused.errors)") }
    #expect(before == after && before?.isEmpty == false)
    #expect(again.status == 0, "\(again.errors)")
    #expect(again.objects.last?["resumedShards"] as? Int == 4)
    #expect(again.objects.last?["redoneShards"] as? Int == 0)
  }

  @Test("--restart begins again, whatever there is", arguments: [["--alpha", "0.4"], []])
  func restart(options: [String]) async throws {
    let site = site
    let result = try await onThread {
      _ = try site.crash(at: .folderSynced, Site.merge("out"))
      Site.flip(site.folder("pair/sft/model.safetensors"), at: 200_000)
      return try site.tool.run(Site.merge("out", options + ["--restart", "--json"]))
    }
    #expect(result.status == 0)
    #expect(result.objects.last?["resumedShards"] as? Int == 0)
    #expect(site.outputs == ["out"])
  }

  @Test("--json says what was done again; trust leaves it as it is", arguments: [false, true])
  func trust(isTrusting: Bool) async throws {
    let site = site
    let (result, verified) = try await onThread {
      _ = try site.crash(at: .folderSynced, Site.merge("out"))
      Site.flip(site.weights("out.partial"), at: 100_000)
      let result = try site.tool.run(Site.merge("out", ["--json", "--resume-trust", isTrusting ? "synced" : "none"]))
      return (result, try site.tool("verify", "out"))
    }
    #expect(result.status == 0)
    #expect(result.objects.last?["resumedShards"] as? Int == 4)
    #expect(result.objects.last?["redoneShards"] as? Int == (isTrusting ? 0 : 1))
    #expect(verified.status == (isTrusting ? 65 : 0), "\(verified.errors)")
  }

  @Test("what was not synced is read back even with trust")
  func trustUnsynced() async throws {
    let site = site
    let (result, verified) = try await onThread {
      _ = try site.crash(at: .manifestWritten, Site.merge("out"))
      Site.flip(site.weights("out.partial"), at: 100_000)
      let result = try site.tool.run(Site.merge("out", ["--json", "--resume-trust", "synced"]))
      return (result, try site.tool("verify", "out"))
    }
    #expect(result.objects.last?["redoneShards"] as? Int == 1)
    #expect(verified.status == 0)
  }

  enum Damage: String, CaseIterable {
    case garbage, truncated, empty, newer
  }

  static let hasSQLite = access("/usr/bin/sqlite3", X_OK) == 0

  @Test("a damaged journal is refused, and named; --restart does without it", arguments: Damage.allCases.filter { $0 != .newer || hasSQLite })
  func damaged(damage: Damage) async throws {
    let site = site
    let path = site.folder("out.partial/.expomerge/journal.sqlite").string
    let (refused, again) = try await onThread {
      _ = try site.crash(at: .shardsDone, Site.merge("out"))
      switch damage {
      case .garbage: site.folder.write([UInt8](repeating: 7, count: 20_000), to: "out.partial/.expomerge/journal.sqlite")
      case .truncated:
        unlink(path + "-wal")
        truncate(path, 5000)
      case .empty: truncate(path, 0)
      case .newer:
        try ChildProcess(["/usr/bin/sqlite3", path, "INSERT INTO grdb_migrations VALUES ('99: of the future')"]).wait()
      }
      return (try site.tool.run(Site.merge("out")), try site.tool.run(Site.merge("out", ["--restart"])))
    }
    #expect(refused.status == 65, "\(refused.errors)")
    #expect(refused.errors.contains("out.partial/.expomerge/journal.sqlite"), "\(refused.errors)")
    #expect(refused.errors.contains("--restart"), "\(refused.errors)")
    #expect(again.status == 0, "\(again.errors)")
    #expect(site.outputs == ["out"])
  }

  @Test(
    "a damaged journal in an output that is complete keeps nobody from merging there",
    arguments: Damage.allCases.filter { $0 != .newer }, [[], ["--restart"], ["--overwrite"], ["--overwrite", "--alpha", "0.4"]])
  func damagedAfterPublishing(damage: Damage, options: [String]) async throws {
    let site = site
    let (crashed, between, refused, again, verified, expected) = try await onThread {
      _ = try site.tool.run(Site.merge("elsewhere", options.filter { $0 != "--restart" }))
      _ = try site.tool.run(Site.merge("out", ["--dtype", "f32"]))
      // The old output still waits beside the new one to be removed.
      let crashed = try site.crash(at: .parentSynced, Site.merge("out", ["--overwrite"]))
      let between = site.outputs
      let journal = site.folder("out/.expomerge/journal.sqlite")
      switch damage {
      case .garbage, .newer: site.folder.write([UInt8](repeating: 7, count: 20_000), to: "out/.expomerge/journal.sqlite")
      case .truncated: truncate(journal.string, 5000)
      case .empty: truncate(journal.string, 0)
      }
      let refused = try site.tool.run(Site.merge("out", ["--alpha", "0.5"]))
      let again = try site.tool.run(Site.merge("out", options + ["--json"]))
      return (crashed, between, refused, again, try site.tool("verify", "out").status, site.contents("elsewhere"))
    }
    #expect(crashed.signal == SIGKILL && between == ["elsewhere", "out", "out.partial"])
    #expect(refused.status == 73 && refused.errors.contains("the output exists already"), "\(refused.errors)")
    #expect(again.status == 0 && verified == 0, "\(again.errors)")
    #expect(again.objects.last?["wasComplete"] as? Bool == !options.contains("--overwrite"))
    #expect(site.contents("out") == expected)
    #expect(site.outputs == ["elsewhere", "out"])
  }

  @Test("--overwrite that was given only when going on is not forgotten")
  func lateOverwrite() async throws {
    let site = site
    let runs = try await onThread {
      var runs = [try site.crash(at: .shardsDone, Site.merge("out"))]
      _ = try site.tool.run(Site.merge("other", ["--dtype", "f32"]))
      rename(site.folder("other").string, site.folder("out").string)
      runs.append(try site.tool.run(Site.merge("out")))
      runs.append(try site.crash(at: .renamed, Site.merge("out", ["--overwrite"])))
      runs.append(try site.tool.run(Site.merge("out", ["--overwrite"])))
      return runs
    }
    #expect(runs.map(\.status) == [SIGKILL, 73, SIGKILL, 0], "\(runs.map(\.errors))")
    #expect(site.outputs == ["out"])
  }

  // MARK: jobs

  @Test("a job goes on after it was cancelled, also through the coordinator's end")
  func cancelled() async throws {
    let site = site
    let (resumed, ended, expected, log) = try await onThread(isIdle: true) {
      _ = try site.tool.run(Site.merge("expected"))
      let cluster = try TestCluster(site.folder.path)
      let worker = try cluster.worker("w", roots: ["/"], more: ["--limit-rate", "50KB"])
      defer { withExtendedLifetime(worker) {} }
      _ = try cluster.submit("out")
      try cluster.wait(forWorker: "w")
      _ = try cluster.tool("cancel", "1", "--coordinator", cluster.address)
      try cluster.wait(for: "cancelled")
      let resumed = try cluster.tool("resume", "1", "--coordinator", cluster.address)
      cluster.coordinator.kill()
      let again = try TestCluster(after: cluster)
      let ended = try again.wait(for: "complete")
      return (resumed, ended, site.contents("expected"), again.coordinator.text)
    }
    #expect(resumed.status == 0, "\(resumed.errors)")
    #expect(ended == "complete", "\(log)")
    #expect(site.contents("out") == expected)
    #expect(site.outputs == ["expected", "out", "state"])
  }

  @Test("cancel and resume, as fast as they can be said")
  func cancelAndResume() async throws {
    let site = site
    let (errors, ended, expected) = try await onThread(isIdle: true) {
      _ = try site.tool.run(Site.merge("expected"))
      let cluster = try TestCluster(site.folder.path)
      _ = try cluster.submit("out")
      var errors = ""
      for _ in 1...5 {
        errors += try cluster.tool("cancel", "1", "--coordinator", cluster.address).errors
        try cluster.wait(for: "cancelled")
        errors += try cluster.tool("resume", "1", "--coordinator", cluster.address).errors
      }
      let worker = try cluster.worker("w", roots: ["/"])
      defer { withExtendedLifetime(worker) {} }
      return (errors, try cluster.wait(for: "complete"), site.contents("expected"))
    }
    #expect(errors.isEmpty)
    #expect(ended == "complete")
    #expect(site.contents("out") == expected)
  }

  @Test("a job whose input has changed while nobody looked fails, and goes on when it is restored; jobs keep their numbers")
  func failed() async throws {
    struct Findings: Sendable {
      var state: String?
      var problems = ""
      var refused, resumed, again, next: Tool.Result?
      var states: [String] = []
      var exitCode: Int?
      var expected: [String: String]?
    }
    let site = site
    let found = try await onThread(isIdle: true) {
      var found = Findings()
      _ = try site.tool.run(Site.merge("expected"))
      found.expected = site.contents("expected")
      let first = try TestCluster(site.folder.path)
      let worker = try first.worker("w", roots: ["/"], more: ["--limit-rate", "50KB"])
      defer { withExtendedLifetime(worker) {} }
      _ = try first.submit("out")
      try first.wait(forWorker: "w")
      first.coordinator.kill()
      let input = site.folder("pair/aligned/model.safetensors")
      Site.flip(input, at: 200_000)
      let second = try TestCluster(after: first)
      found.state = try second.wait(for: "failed")
      found.problems = "\(try second.job(1)?["problems"] ?? "")"
      found.refused = try second.tool("resume", "1", "--coordinator", second.address, "--wait")
      second.coordinator.kill()
      Site.flip(input, at: 200_000)
      // It stays failed, until somebody asks.
      let third = try TestCluster(after: second)
      found.states.append(try third.job(1)?["state"] as? String ?? "")
      found.exitCode = try third.job(1)?["exitCode"] as? Int
      found.resumed = try third.tool("resume", "1", "--coordinator", third.address, "--wait")
      found.again = try third.tool("resume", "1", "--coordinator", third.address)
      _ = third.coordinator.terminate()
      let fourth = try TestCluster(after: third)
      found.next = try fourth.submit("next", "--json")
      found.states += try [1, 2].map { try fourth.job($0)?["state"] as? String ?? "" }
      return found
    }
    #expect(found.state == "failed")
    #expect(found.problems.contains("pair/aligned/model.safetensors"), "\(found.problems)")
    #expect(found.problems.contains("contents have changed"), "\(found.problems)")
    #expect(found.refused?.status == 65, "\(found.refused?.errors ?? "")")
    #expect(found.refused?.errors.contains("pair/aligned/model.safetensors") == true)
    #expect(found.exitCode == 65)
    #expect(found.resumed?.status == 0, "\(found.resumed?.errors ?? "")")
    #expect(found.again?.status == 66 && found.again?.errors.contains("is complete") == true)
    #expect(found.next?.objects.first?["job"] as? Int == 2)
    #expect(found.states.first == "failed" && found.states.dropFirst().first == "complete")
    #expect(site.contents("out") == found.expected)
  }

  @Test("a job whose inputs are not mounted when its coordinator starts waits for them, and is shown with what it waits for")
  func unmounted() async throws {
    let site = site
    let (shown, resumed, expected) = try await onThread(isIdle: true) {
      _ = try site.tool.run(Site.merge("expected"))
      let first = try TestCluster(site.folder.path)
      let worker = try first.worker("w", roots: ["/"], more: ["--limit-rate", "50KB"])
      defer { withExtendedLifetime(worker) {} }
      _ = try first.submit("out")
      try first.wait(forWorker: "w")
      first.coordinator.kill()
      rename(site.folder("pair").string, site.folder("away").string)
      let second = try TestCluster(after: first)
      _ = second.coordinator.waitFor("job 1 waits")
      let shown = try second.tool("status", "--coordinator", second.address)
      rename(site.folder("away").string, site.folder("pair").string)
      // It would go on by itself, half a minute later.
      let resumed = try second.tool("resume", "1", "--coordinator", second.address, "--wait")
      return (shown, resumed, site.contents("expected"))
    }
    #expect(shown.output.contains("1  waiting"), "\(shown.output)")
    #expect(shown.output.contains("there is no such checkpoint"), "\(shown.output)")
    #expect(resumed.status == 0, "\(resumed.errors)")
    #expect(site.contents("out") == expected)
  }

  @Test("merges and jobs do not take each other's folders")
  func owners() async throws {
    let site = site
    let (job, submitted, crashed, resumed, merged, expected) = try await onThread(isIdle: true) {
      _ = try site.tool.run(Site.merge("expected"))
      let cluster = try TestCluster(site.folder.path)
      _ = try cluster.submit("out")
      _ = try cluster.tool("cancel", "1", "--coordinator", cluster.address)
      try cluster.wait(for: "cancelled")
      let job = try site.tool.run(Site.merge("out"))
      _ = try site.crash(at: .shardsDone, Site.merge("other"))
      let submitted = try cluster.submit("other")
      // The folder changes hands only when that is asked for.
      let crashed = try site.crash(at: .shardsDone, Site.merge("out", ["--restart"]))
      let resumed = try cluster.tool("resume", "1", "--coordinator", cluster.address, "--wait")
      let merged = try ["out", "other"].map { try site.tool.run(Site.merge($0, ["--json"])) }
      return (job, submitted, crashed, resumed, merged, site.contents("expected"))
    }
    #expect(job.status == 73)
    #expect(job.errors.contains("belongs to job 1 of the coordinator with the journal \(site.folder("state/journal.sqlite").string)"), "\(job.errors)")
    #expect(submitted.status == 73 && submitted.errors.contains("an earlier merge into this folder was interrupted"))
    #expect(crashed.signal == SIGKILL)
    #expect(resumed.status == 73 && resumed.errors.contains("out.partial"), "\(resumed.errors)")
    for result in merged {
      #expect(result.status == 0, "\(result.errors)")
      #expect(result.objects.last?["resumedShards"] as? Int == 4)
    }
    #expect(site.contents("out") == expected && site.contents("other") == expected)
  }

  // MARK: full disks

  @Test(
    "a coordinator whose journal's disk is full ends with 75; its job completes when there is room",
    .enabled(if: Namespace.isPermitted, "filesystems of a test's own cannot be mounted here"))
  func fullJournal() async throws {
    let site = site
    let (status, log, granted, ended, expected) = try await onThread(isIdle: true) {
      _ = try site.tool.run(Site.merge("expected"))
      let namespace = try Namespace(at: site.folder("state"), size: "2m")
      defer { withExtendedLifetime(namespace) {} }
      let cluster = try TestCluster(site.folder.path, launcher: namespace.launcher)
      let worker = try cluster.worker("w", roots: ["/"], more: ["--limit-rate", "50KB"])
      _ = try cluster.submit("out")
      try cluster.wait(forWorker: "w")
      namespace.fill()
      let (status, log) = (cluster.coordinator.process.wait().status, cluster.coordinator.text)
      let granted = site.contents("out")
      namespace.makeRoom()
      let again = try TestCluster(after: cluster, launcher: namespace.launcher)
      let ended = try again.wait(for: "complete")
      _ = (worker.terminate(), again.coordinator.terminate())
      return (status, log, granted, ended, site.contents("expected"))
    }
    #expect(status == 75, "\(log)")
    #expect(log.contains("there is no space left for the journal") && log.contains("journal.sqlite"), "\(log)")
    #expect(granted == nil)
    #expect(ended == "complete")
    #expect(site.contents("out") == expected)
  }

  @Test(
    "a merge whose disk is full goes on when there is room",
    .enabled(if: Namespace.isPermitted, "filesystems of a test's own cannot be mounted here"),
    arguments: [CrashPoint.journalMade, .jobRecorded, .shardsDone])
  func fullOutput(point: CrashPoint) async throws {
    let site = site
    let (crashed, full, again, verified) = try await onThread {
      let namespace = try Namespace(at: site.folder("disk"), size: "4m")
      defer { withExtendedLifetime(namespace) {} }
      var site = site.tool
      site.launcher = namespace.launcher
      let merge = Site.merge("disk/out")
      let crashed = try site.run(merge, environment: ["EXPOMERGE_CRASH_AT": point.rawValue])
      namespace.fill()
      let full = try site.run(merge)
      namespace.makeRoom()
      return (crashed, full, try site.run(merge), try site.run(["verify", "disk/out"]))
    }
    #expect(crashed.status == SIGKILL)
    #expect(full.status == 75, "\(full.errors)")
    #expect(full.errors.contains("space"), "\(full.errors)")
    #expect(again.status == 0, "\(again.errors)")
    #expect(verified.status == 0)
  }

  @Test(
    "a journal that cannot be written is told at the start",
    .enabled(if: Namespace.isPermitted, "filesystems of a test's own cannot be mounted here"))
  func readOnlyJournal() async throws {
    let site = site
    let (first, second, merge) = try await onThread(isIdle: true) {
      let namespace = try Namespace(at: site.folder("state"), size: "2m")
      defer { withExtendedLifetime(namespace) {} }
      var tool = site.tool
      tool.launcher = namespace.launcher
      let cluster = try TestCluster(site.folder.path, launcher: namespace.launcher)
      let first = cluster.coordinator.terminate()
      namespace.remount("ro")
      let second = try tool("coordinator", "--listen", "tcp://127.0.0.1:0", "--state", site.folder("state").string)
      return (first, second, try tool.run(Site.merge("state/out")))
    }
    #expect(first == 0)
    #expect(second.status == 77 && second.errors.contains("state/"), "\(second.errors)")
    #expect(merge.status == 73 && merge.errors.contains("state/out.partial"), "\(merge.errors)")
  }
}
