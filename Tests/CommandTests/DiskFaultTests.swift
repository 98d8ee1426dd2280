import Foundation
import SystemPackage
import TestSupport
import Testing

/// Processes whose disk fails.
@Suite(
  "Disks that fail", .timeLimit(.minutes(10)),
  .enabled(if: Preload.isPossible, "a C compiler makes the library that takes the place of system calls"))
struct DiskFaultTests {
  let site = Site()
  private static let output = "/out.partial/model"

  // MARK: merge

  @Test("a merge whose disk fails says so and goes on when it is run again", arguments: [ENOSPC, EDQUOT, EIO])
  func merge(number: Int32) async throws {
    let site = site
    let (failed, failures, again, expected) = try await onThread {
      _ = try site.tool.run(Site.merge("expected"))
      let disk = try FaultyDisk()
      disk.fail(.pwrite, number, on: Self.output)
      let failed = try site.tool.run(Site.merge("out"), environment: disk.environment)
      let failures = disk.failures
      disk.mend(.pwrite)
      let again = try site.tool.run(Site.merge("out"), environment: disk.environment)
      return (failed, failures, again, site.contents("expected"))
    }
    #expect(failures.contains { $0.hasPrefix("pwrite") })
    #expect(failed.status == 74, "\(failed.errors)")
    #expect(failed.errors.contains("out.partial/model.safetensors"), "\(failed.errors)")
    #expect(failed.errors.contains(String(cString: strerror(number))), "\(failed.errors)")
    #expect(again.status == 0, "\(again.errors)")
    #expect(site.contents("out") == expected)
    #expect(site.outputs == ["expected", "out"])
  }

  @Test("what a disk did not take when it was synced is computed again, and synced once only", arguments: [true, false])
  func sync(isOnce: Bool) async throws {
    let site = site
    let (first, failures, again, verified, expected) = try await onThread {
      _ = try site.tool.run(Site.merge("expected"))
      let disk = try FaultyDisk()
      disk.fail(.fdatasync, EIO, on: Self.output, once: isOnce)
      let first = try site.tool.run(Site.merge("out", ["--json"]), environment: disk.environment)
      let failures = disk.failures
      disk.mend(.fdatasync)
      let again = try site.tool.run(Site.merge("out", ["--json"]), environment: disk.environment)
      return (first, failures, again, try site.tool("verify", "out").status, site.contents("expected"))
    }
    // Each time what the file holds was computed again before it was synced again.
    #expect(failures.count == (isOnce ? 1 : 3))
    #expect(first.status == (isOnce ? 0 : 74), "\(first.errors)")
    #expect(again.status == 0 && again.objects.last?["wasComplete"] as? Bool == isOnce)
    // Nothing of a file that could not be synced is believed.
    if !isOnce { #expect(again.objects.last?["resumedShards"] as? Int == 0) }
    #expect(verified == 0)
    #expect(site.contents("out") == expected)
  }

  @Test("a report that cannot be written is warned of, and the merge is complete without it", arguments: [ENOSPC, EIO])
  func report(number: Int32) async throws {
    let site = site
    let (merged, verified, expected) = try await onThread {
      _ = try site.tool.run(Site.merge("expected"))
      let disk = try FaultyDisk()
      disk.fail(.pwrite, number, on: "/out.partial/report.html")
      let merged = try site.tool.run(Site.merge("out"), environment: disk.environment)
      return (merged, try site.tool("verify", "out").status, site.contents("expected"))
    }
    #expect(merged.status == 0)
    #expect(merged.errors.contains("warning: report.html is not written"), "\(merged.errors)")
    #expect(merged.errors.contains(String(cString: strerror(number))), "\(merged.errors)")
    #expect(verified == 0)
    #expect(site.contents("out") == expected)
    #expect(!TemporaryFolder.exists(site.folder("out/report.html")) && TemporaryFolder.exists(site.folder("expected/report.html")))
  }

  // MARK: a coordinator

  @Test("a job whose workers find no space stops, and goes on when there is room", arguments: [true, false])
  func noSpace(isDirect: Bool) async throws {
    let site = site
    let (state, problems, failures, resumed, expected) = try await onThread(isIdle: true) {
      _ = try site.tool.run(Site.merge("expected"))
      let disk = try FaultyDisk()
      disk.fail(.pwrite, ENOSPC, on: Self.output)
      // What is streamed the coordinator writes.
      let cluster = try TestCluster(site.folder.path, environment: isDirect ? [:] : disk.environment)
      let worker = try cluster.worker("w", roots: isDirect ? ["/"] : [], environment: isDirect ? disk.environment : [:])
      defer { withExtendedLifetime(worker) {} }
      _ = try cluster.submit("out")
      let state = try cluster.wait(for: "failed")
      let problems = "\(try cluster.job(1)?["problems"] ?? "")"
      let failures = disk.failures
      disk.mend(.pwrite)
      let resumed = try cluster.tool("resume", "1", "--coordinator", cluster.address, "--wait")
      return (state, problems, failures, resumed, site.contents("expected"))
    }
    #expect(state == "failed")
    #expect(problems.contains("no-space") && problems.contains("out.partial/model.safetensors"), "\(problems)")
    #expect(failures.count >= 3 && failures.allSatisfy { $0.hasPrefix("pwrite") })
    #expect(resumed.status == 0, "\(resumed.errors)")
    #expect(site.contents("out") == expected)
  }

  @Test("a worker whose disk fails leaves its shards to others", arguments: [ENOSPC, EIO])
  func oneWorker(number: Int32) async throws {
    let site = site
    let (submitted, failures, log, shards, expected) = try await onThread(isIdle: true) {
      _ = try site.tool.run(Site.merge("expected"))
      let disk = try FaultyDisk()
      disk.fail(.pwrite, number, on: Self.output, once: number == ENOSPC)
      let cluster = try TestCluster(site.folder.path)
      // So slow that there is something left for the other.
      let good = try cluster.worker("good", roots: ["/"], more: ["--limit-rate", "20KB"])
      let bad = try cluster.worker("bad", roots: ["/"], environment: disk.environment)
      for worker in [good, bad] { _ = worker.waitFor("joined") }
      let submitted = try cluster.submit("out", "--wait")
      let shards = try cluster.workers()["good"]?["shards"] as? Int ?? 0
      withExtendedLifetime([bad, good]) {}
      return (submitted, disk.failures, cluster.coordinator.text, shards, site.contents("expected"))
    }
    #expect(submitted.status == 0, "\(log)")
    #expect(!failures.isEmpty && (shards > 0 || number == ENOSPC))
    #expect(log.contains("failed on bad") && log.contains(String(cString: strerror(number))), "\(log)")
    #expect(site.contents("out") == expected)
  }

  @Test("what a coordinator's disk did not take when it was synced is computed again")
  func coordinatorSync() async throws {
    let site = site
    let (submitted, failures, log, expected) = try await onThread(isIdle: true) {
      _ = try site.tool.run(Site.merge("expected"))
      let disk = try FaultyDisk()
      disk.fail(.fdatasync, EIO, on: Self.output, once: true)
      let cluster = try TestCluster(site.folder.path, environment: disk.environment)
      let worker = try cluster.worker("w", slots: 2, roots: ["/"])
      let submitted = try cluster.submit("out", "--wait")
      let shards = try cluster.workers()["w"]?["shards"] as? Int ?? 0
      withExtendedLifetime(worker) {}
      // Each of the four twice.
      #expect(shards == 8)
      return (submitted, disk.failures, cluster.coordinator.text, site.contents("expected"))
    }
    #expect(submitted.status == 0, "\(log)")
    #expect(failures.count == 1 && log.contains("what the file holds is computed again"), "\(log)")
    #expect(site.contents("out") == expected)
  }

  @Test("a worker that cannot read an input gets no shards that need it; with no other the job stops, and can be gone on with", arguments: [true, false])
  func input(hasOther: Bool) async throws {
    let site = site
    let (submitted, failures, log, shards, resumed, expected) = try await onThread(isIdle: true) {
      _ = try site.tool.run(Site.merge("expected"))
      let disk = try FaultyDisk()
      let cluster = try TestCluster(site.folder.path)
      // The other is slower, so that this one has something to read once it has looked at its inputs.
      var workers = [
        try cluster.worker(
          "bad", roots: ["/"], more: ["--limit-rate", "30KB", "--read", "pread"], environment: disk.environment)
      ]
      if hasOther { workers.append(try cluster.worker("good", roots: ["/"], more: ["--limit-rate", "20KB"])) }
      for worker in workers { _ = worker.waitFor("joined") }
      let submit = try cluster.tool.start(cluster.submission("out", ["--wait"]))
      _ = cluster.coordinator.waitFor("worker bad is ready")
      disk.fail(.pread, EIO, on: "/pair/sft/model")
      let submitted = submit.result()
      let shards = try cluster.workers()["good"]?["shards"] as? Int ?? 0
      let failures = disk.failures
      disk.mend(.pread)
      let resumed = hasOther ? nil : try cluster.tool("resume", "1", "--coordinator", cluster.address, "--wait")
      withExtendedLifetime(workers) {}
      return (submitted, failures, cluster.coordinator.text, shards, resumed, site.contents("expected"))
    }
    #expect(!failures.isEmpty && failures.allSatisfy { $0.hasPrefix("pread") })
    #expect(log.contains("failed on bad") && log.contains("pair/sft/model.safetensors"), "\(log)")
    #expect(submitted.status == (hasOther ? 0 : 74), "\(submitted.errors)\n\(log)")
    if hasOther {
      #expect(shards > 0)
    } else {
      #expect(submitted.errors.contains("pair/sft/model.safetensors"), "\(submitted.errors)")
      #expect(resumed?.status == 0, "\(resumed?.errors ?? "")")
    }
    #expect(site.contents("out") == expected)
  }
}
