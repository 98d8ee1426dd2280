import FileIO
import Foundation
import SystemPackage
import TestSupport
import Testing

/// Processes that kill themselves at each step of a merge, and what the next run makes of what is left.
@Suite("Crashes", .timeLimit(.minutes(10))) struct CrashTests {
  let site = Site()

  /// A way of merging.
  enum Variant: String, CaseIterable {
    case plain, sha256, unsynced, overwrite, alphas

    var options: [String] {
      switch self {
      case .plain: []
      case .sha256: ["--sha256"]
      case .unsynced: ["--sync", "none"]
      case .overwrite: ["--overwrite"]
      case .alphas: ["--alpha", "0.1,-0.5"]
      }
    }

    /// Where a merge can be interrupted.
    var points: [CrashPoint] {
      CrashPoint.allCases.filter { point in
        // Only where two folders cannot change places; see `withoutExchange`.
        point != .oldMovedAway && !(self == .unsynced && (point == .filesSynced || point == .folderSynced))
      }
    }
  }

  static let cases = Variant.allCases.flatMap { variant in variant.points.map { (variant, $0) } }

  /// Merges with a crash, and again without; checks everything in between and after.
  private func disturb(_ variant: Variant, _ point: CrashPoint, environment: [String: String] = [:]) async throws {
    let site = site
    let merge = Site.merge("out", variant.options)
    let (old, expected, checkpoint, crashed, between, verified, again, after) = try await onThread {
      _ = try site.tool.run(Site.merge("expected", variant.options))
      let expected = site.contents("expected")
      try FileManager.default.moveItem(atPath: site.folder("expected").string, toPath: site.folder("elsewhere").string)
      if variant == .overwrite { _ = try site.tool.run(Site.merge("out", ["--dtype", "f32"])) }
      let old = site.contents("out")
      let crashed = try site.crash(at: point, merge, environment: environment)
      let between = site.contents("out")
      let checkpoint = between?.filter { !$0.key.hasPrefix(".expomerge") }
      let verified = between == nil ? nil : try site.tool("verify", "out").status
      let again = try site.tool.run(merge, environment: environment)
      return (old, expected, checkpoint, crashed, between, verified, again, site.contents("out"))
    }
    #expect(expected?.isEmpty == false && (old == nil) == (variant != .overwrite))
    #expect(crashed.signal == SIGKILL, "was not killed: \(crashed.errors)")
    // Old or new, and whole; where it is not there it was not there before, or waits beside.
    if between != nil {
      #expect(checkpoint == old || checkpoint == expected)
      #expect(verified == 0)
    } else {
      #expect(old == nil || point == .oldMovedAway)
    }
    #expect(again.status == 0, "\(again.errors)")
    #expect(after == expected)
    #expect(site.outputs == ["elsewhere", "out"])
  }

  @Test("a merge that was killed goes on when it is run again", arguments: cases)
  func merge(variant: Variant, point: CrashPoint) async throws {
    try await disturb(variant, point)
  }

  @Test(
    "the old output comes to no harm where two folders cannot change places",
    .enabled(if: Preload.isPossible, "a C compiler makes the library that takes renameat2(2) away"),
    arguments: [CrashPoint.publishing, .oldMovedAway, .renamed, .parentSynced, .oldRemoved])
  func withoutExchange(point: CrashPoint) async throws {
    let environment = try await onThread {
      try Preload(
        """
        #include <errno.h>
        int renameat2(int a, const char *b, int c, const char *d, unsigned e) { errno = EINVAL; return -1; }
        """
      ).environment
    }
    try await disturb(.overwrite, point, environment: environment)
  }

  @Test("what was done is kept", arguments: [CrashPoint.shardsDone, .publishing])
  func kept(point: CrashPoint) async throws {
    let site = site
    let again = try await onThread {
      _ = try site.crash(at: point, Site.merge("out"))
      return try site.tool.run(Site.merge("out", ["--json"]))
    }
    #expect(again.objects.last?["resumedShards"] as? Int == 4)
    #expect(again.objects.last?["redoneShards"] as? Int == 0)
  }

  @Test("crash after crash: each run gets one step further")
  func stepByStep() async throws {
    let site = site
    let (expected, runs) = try await onThread {
      _ = try site.tool.run(Site.merge("expected"))
      let points = CrashPoint.allCases.filter { $0 != .oldMovedAway && $0 != .stateRemoved }
      // After the rename there is only tidying left, which does not pass the points again.
      let upToRename = points.prefix { $0 != .parentSynced }
      var runs: [Tool.Result] = []
      for point in upToRename { runs.append(try site.crash(at: point, Site.merge("out"))) }
      runs.append(try site.tool.run(Site.merge("out")))
      return (site.contents("expected"), runs)
    }
    for run in runs.dropLast() { #expect(run.signal == SIGKILL, "\(run.errors)") }
    #expect(runs.last?.status == 0)
    #expect(site.contents("out") == expected)
    #expect(site.outputs == ["expected", "out"])
  }

  // MARK: a coordinator

  /// Those that a job passes once it is in the journal.
  static let jobPoints: [CrashPoint] = [
    .jobRecorded, .filesAllocated, .shardsDone, .manifestWritten, .filesSynced, .folderSynced, .publishing, .renamed, .parentSynced,
    .oldRemoved, .stateRemoved,
  ]

  @Test("a job goes on by itself when its coordinator was killed; its worker lives through it", arguments: jobPoints)
  func job(point: CrashPoint) async throws {
    let site = site
    let (expected, signal, between, verified, log, worker, status, submitted) = try await onThread(isIdle: true) {
      _ = try site.tool.run(Site.merge("expected"))
      let cluster = try TestCluster(site.folder.path, environment: ["EXPOMERGE_CRASH_AT": point.rawValue])
      let worker = try cluster.worker("w", slots: 2, roots: ["/"])
      _ = worker.waitFor("joined")
      let submit = try cluster.tool.start(cluster.submission("out"))
      let signal = cluster.coordinator.waitForEnd()
      let between = site.contents("out")
      let verified = between == nil ? nil : try site.tool("verify", "out").status
      let again = try TestCluster(after: cluster)
      let status = try again.wait(for: "complete")
      let log = again.coordinator.text
      return (site.contents("expected"), signal, between, verified, log, worker.terminate(), status, submit.result())
    }
    #expect(signal == SIGKILL)
    #expect(between == nil || verified == 0)
    #expect(status == "complete", "\(log)")
    #expect(site.contents("out") == expected)
    #expect(site.outputs == ["expected", "out", "state"])
    #expect(worker == 0)
    // Whoever had no answer yet is told that none will come.
    #expect(submitted.status == 0 || submitted.status == 69 && submitted.errors.contains("see expomerge status"), "\(submitted.errors)")
    #expect(!log.contains("computed again"), "\(log)")
  }

  @Test("a coordinator that replaces an output is killed: old or new", arguments: [CrashPoint.publishing, .renamed])
  func overwritingJob(point: CrashPoint) async throws {
    let site = site
    let (expected, old, between, log) = try await onThread(isIdle: true) {
      _ = try site.tool.run(Site.merge("expected"))
      _ = try site.tool.run(Site.merge("out", ["--dtype", "f32"]))
      let old = site.contents("out")
      let cluster = try TestCluster(site.folder.path, environment: ["EXPOMERGE_CRASH_AT": point.rawValue])
      let worker = try cluster.worker("w", roots: ["/"])
      defer { withExtendedLifetime(worker) {} }
      _ = try cluster.submit("out", "--overwrite")
      _ = cluster.coordinator.waitForEnd()
      let between = site.contents("out")?.filter { !$0.key.hasPrefix(".expomerge") }
      let again = try TestCluster(after: cluster)
      try again.wait(for: "complete")
      return (site.contents("expected"), old, between, again.coordinator.text)
    }
    #expect(old?.isEmpty == false && old != expected)
    #expect(between == (point == .publishing ? old : expected), "\(log)")
    #expect(site.contents("out") == expected)
    #expect(site.outputs == ["expected", "out", "state"])
  }
}
