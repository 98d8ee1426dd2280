import Foundation
import SystemPackage
import TestSupport
import Testing

/// Processes whose wall clock somebody sets.
@Suite(
  "The wall clock", .timeLimit(.minutes(10)),
  .enabled(if: Preload.isPossible, "a C compiler makes the library that moves the clock"))
struct WallClockTests {
  let site = Site()

  /// Shifts CLOCK_REALTIME, and what is derived from it, by the seconds in a file.
  private static let source = """
    #define _GNU_SOURCE
    #include <errno.h>
    #include <fcntl.h>
    #include <stdlib.h>
    #include <sys/syscall.h>
    #include <sys/time.h>
    #include <time.h>
    #include <unistd.h>

    static long shift(void) {
      char text[32] = "";
      int kept = errno, file = open(getenv("CLOCK_SHIFT"), O_RDONLY | O_CLOEXEC);
      if (file >= 0) {
        if (read(file, text, sizeof text - 1) < 0) text[0] = 0;
        close(file);
      }
      errno = kept;
      return atol(text);
    }
    int clock_gettime(clockid_t clock, struct timespec *now) {
      int result = syscall(SYS_clock_gettime, clock, now);
      if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += shift();
      return result;
    }
    int gettimeofday(struct timeval *now, void *zone) {
      struct timespec precise;
      clock_gettime(CLOCK_REALTIME, &precise);
      *now = (struct timeval){precise.tv_sec, precise.tv_nsec / 1000};
      return 0;
    }
    time_t time(time_t *now) {
      struct timespec precise;
      clock_gettime(CLOCK_REALTIME, &precise);
      if (now) *now = precise.tv_sec;
      return precise.tv_sec;
    }
    """

  enum Moved: String, CaseIterable {
    case coordinator, workers, all
  }

  @Test("a clock that jumps by an hour, forth and back, disturbs nothing", arguments: Moved.allCases)
  func jumps(moved: Moved) async throws {
    let site = site
    let (submitted, logs, expected) = try await onThread(isIdle: true) {
      _ = try site.tool.run(Site.merge("expected"))
      func set(_ seconds: Int) {
        site.folder.write("\(seconds)", to: "pair/new")
        rename(site.folder("pair/new").string, site.folder("pair/shift").string)
      }
      let clock = try Preload(Self.source, environment: ["CLOCK_SHIFT": site.folder("pair/shift").string])
      let cluster = try TestCluster(site.folder.path, environment: moved == .workers ? [:] : clock.environment)
      let workers = try [("direct", ["/"]), ("streamed", [])].map { name, roots in
        try cluster.worker(
          name, roots: roots, more: ["--limit-rate", "30KB"], environment: moved == .coordinator ? [:] : clock.environment)
      }
      for worker in workers { _ = worker.waitFor("joined") }
      let submit = try cluster.tool.start(cluster.submission("out", ["--wait"]))
      for (moment, seconds) in [("running", 3600), ("shards", -3600)] {
        try cluster.wait(forWorker: "direct", toHave: moment)
        set(seconds)
        // Each writes to its log at the new time.
        for process in workers + [cluster.coordinator] {
          process.signal(SIGHUP)
          _ = process.waitFor("SIGHUP")
        }
      }
      let submitted = submit.result()
      let logs = [cluster.coordinator.text] + workers.map(\.text)
      for worker in workers { #expect(worker.terminate() == 0) }
      #expect(cluster.coordinator.terminate() == 0)
      return (submitted, logs, site.contents("expected"))
    }
    #expect(submitted.status == 0, "\(submitted.errors)")
    #expect(site.contents("out") == expected)
    for (index, log) in logs.enumerated() {
      for words in ["lost", "silent", "failed", "gets no work"] { #expect(!log.contains(words), "\(log)") }
      let isMoved = moved == .all || (moved == .coordinator) == (index == 0)
      #expect((Self.span(of: log) > 3000) == isMoved, "\(log)")
    }
  }

  /// Seconds between the earliest and the latest line.
  private static func span(of log: String) -> Double {
    let formatter = ISO8601DateFormatter()
    formatter.formatOptions = [.withInternetDateTime, .withFractionalSeconds]
    let times = log.split(separator: "\n").compactMap { line in
      line.split(separator: " ").first.flatMap { formatter.date(from: String($0)) }
    }
    guard let first = times.min(), let last = times.max() else { return 0 }
    return last.timeIntervalSince(first)
  }
}
