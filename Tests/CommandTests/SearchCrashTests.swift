import FileIO
import Foundation
import SystemPackage
import TestSupport
import Testing

/// Searches that kill themselves at each of their steps, and what the next run makes of what is left.
@Suite("Crashes of searches", .timeLimit(.minutes(10))) struct SearchCrashTests {
  let site = Site()

  /// Those of a search, and those of the merges in it.
  static let points =
    [
      "search-journal-made", "search-merged-together", "search-spread", "search-merged", "search-scored", "search-recorded", "search-discarding", "search-moved", "search-linked",
      "search-tidied",
    ] + [CrashPoint.filesAllocated, .manifestWritten, .renamed].map(\.rawValue)

  private static let arguments = SearchCommandTests.search(["--keep", "2", "--refine", "--tolerance", "0.05"], alphas: "0.1:0.5:0.2")

  private func calls() -> [String] {
    String(decoding: TemporaryFolder.contents(site.folder("calls")) ?? [], as: UTF8.self).split(separator: "\n").map(String.init)
  }

  private func recorded() -> Int {
    String(decoding: TemporaryFolder.contents(site.folder("s/search.jsonl")) ?? [], as: UTF8.self).split(separator: "\n").count - 1
  }

  /// What is kept, but for reports, which tell the time.
  private func kept() -> [String: String]? {
    site.contents("s")?.filter { ($0.key.hasPrefix("alpha") || $0.key.hasPrefix("best")) && !$0.key.hasSuffix("report.html") }
  }

  @Test("killed again and again, a search comes to the same end, and computes no score twice that it has", arguments: points)
  func steps(point: String) async throws {
    let site = site
    let (expected, alphas) = try await onThread {
      let result = try site.tool.run(Self.arguments)
      #expect(result.status == 0, "\(result.errors)")
      defer { for name in ["s", "calls"] { try? FileManager.default.removeItem(atPath: site.folder(name).string) } }
      return (kept(), calls())
    }
    #expect(alphas.count >= 5)
    let (crashes, last) = try await onThread {
      var (crashes, runs) = (0, 0)
      while true {
        // In between a run gets one score further, as some steps come before any.
        let chosen = runs.isMultiple(of: 2) ? point : "search-recorded"
        let known = recorded()
        let result = try site.tool.run(Self.arguments, environment: ["EXPOMERGE_CRASH_AT": chosen])
        runs += 1
        #expect(recorded() >= known)
        guard result.signal == SIGKILL, runs < 40 else { return (crashes, result) }
        if chosen == point { crashes += 1 }
      }
    }
    #expect(crashes > 0, "the step was never passed")
    #expect(last.status == 0, "\(last.errors)")
    #expect(kept() == expected)
    #expect(TemporaryFolder.names(in: site.folder("s")).isDisjoint(with: ["candidates"]))
    let again = calls()
    #expect(Set(again) == Set(alphas))
    // Only a score that was not recorded yet is computed again, once for each crash.
    #expect(again.count - alphas.count == (point == "search-scored" ? crashes : 0))
  }

  @Test("a journal whose end was torn off loses that score only")
  func torn() async throws {
    let site = site
    let (first, second) = try await onThread {
      let first = try site.tool.run(Self.arguments)
      let journal = site.folder("s/search.jsonl")
      let bytes = TemporaryFolder.contents(journal) ?? []
      site.folder.write(Array(bytes.dropLast(5)), to: "s/search.jsonl")
      return (first, try site.tool.run(Self.arguments))
    }
    #expect(first.status == 0 && second.status == 0, "\(second.errors)")
    let calls = calls()
    #expect(calls.count == Set(calls).count + 1 && calls.last == calls.dropLast().last)
    #expect(recorded() == Set(calls).count)
  }

  @Test("a damaged journal is refused, and named; --restart does without it")
  func damaged() async throws {
    let site = site
    let (refused, restarted) = try await onThread {
      _ = try site.tool.run(Self.arguments)
      Site.flip(site.folder("s/search.jsonl"), at: 0)
      return (try site.tool.run(Self.arguments), try site.tool.run(Self.arguments + ["--restart"]))
    }
    #expect(refused.status == 65 && refused.errors.contains("search.jsonl: line 1 is not that of a search"))
    #expect(restarted.status == 0)
  }
}
