public import Monitoring
import Scheduling
import Threads
import Wire

/// What happened of late, for those who look at the coordinator.
struct RecentHistory: Sendable {
  private(set) var totals = CoordinatorView.Totals()
  private var throughput = Throughput()
  /// The newest last.
  private(set) var events: [CoordinatorView.Event] = []

  private static let eventLimit = 100
  private static let textLimit = 500

  mutating func shardDone(bytes: Int, at now: Instant) {
    totals.shards += 1
    totals.bytes += bytes
    throughput.add(bytes, at: now.nanoseconds)
  }

  mutating func shardFailed() { totals.failures += 1 }

  mutating func jobEnded(_ state: Status.JobState) { totals.jobs[state.rawValue, default: 0] += 1 }

  mutating func throughput(at now: Instant) -> [Int] { throughput.values(at: now.nanoseconds) }

  mutating func add(_ level: String, _ job: JobID?, _ text: String) {
    if events.count == Self.eventLimit { events.removeFirst() }
    events.append(.init(at: wallMilliseconds(), level: level, job: job, text: String(text.prefix(Self.textLimit))))
  }
}

extension CoordinatorService {
  /// What is shown to whoever looks.
  public func view() -> CoordinatorView {
    CoordinatorView(
      status: status(of: nil), totals: history.totals, throughput: history.throughput(at: Self.now),
      events: history.events.reversed(), isReady: !isEnding)
  }
}
