import Coordinator
import Figures
import FoundationEssentials
import Monitoring
import ServiceManager
import Synchronization
import Wire
import Worker
import ZeroMQ

/// Tells the service manager how a daemon fares, from its event loop: a loop that hangs gives no sign of life, and the process is
/// started again.
final class ServiceReports: Sendable {
  private let manager: ServiceManager?
  private let last = Mutex<String?>(nil)

  init() {
    manager = ServiceManager(environment: ProcessInfo.processInfo.environment)
  }

  /// The daemon serves.
  ///
  /// - Parameter status: what is being done, in a line; asked on the loop.
  func begin(on loop: EventLoop, status: @escaping @Sendable () -> String) {
    guard let manager else { return }
    loop.perform { [self] in
      manager.tell(.ready, .status(status()))
      // Twice in the time that is allowed, and often enough for those who read it.
      let seconds = min((manager.watchdogSeconds ?? 10) / 2, 5)
      _ = loop.every(milliseconds: max(Int(seconds * 1000), 50)) { [self] in report(status()) }
    }
  }

  private func report(_ status: String) {
    let isNew = last.withLock { last in
      defer { last = status }
      return last != status
    }
    if isNew { manager?.tell(.alive, .status(status)) } else { manager?.tell(.alive) }
  }

  func end(_ reason: String) { manager?.tell(.stopping, .status("ending (\(reason))")) }

  /// Tells that settings are read again, and when that is done.
  func reload(_ work: () -> Void) {
    manager?.tell(.reloading)
    work()
    manager?.tell(.ready)
  }
}

extension CoordinatorView {
  var line: String {
    let active = status.jobs.count { !$0.state.isOver }
    // The stretch that goes on is not full.
    let late = throughput.dropLast().suffix(5)
    let rate = Double(late.reduce(0, +)) / Double(late.count * stretchSeconds)
    return "\(Format.plural(active, "job")), \(Format.plural(status.workers.count, "worker"))" + suffix(rate)
  }
}

extension WorkerView {
  /// - Parameter rate: bytes a second.
  func line(rate: Double) -> String {
    if !isConnected { return "waits for \(coordinator)" }
    return "\(isDraining ? "draining: " : "")\(Format.plural(running, "shard"))" + suffix(rate)
  }
}

/// A rate behind what there is.
private func suffix(_ rate: Double) -> String { rate > 0 ? ", \(Format.rate(rate))" : "" }

/// Bytes of a worker a second, since it was asked last.
final class LateRate: Sendable {
  private let last = Mutex((bytes: 0, seconds: 0.0))

  func rate(of view: WorkerView) -> Double {
    let (bytes, seconds) = (view.bytes, view.uptimeSeconds)
    return last.withLock { last in
      defer { last = (bytes, seconds) }
      return seconds > last.seconds ? Double(bytes - last.bytes) / (seconds - last.seconds) : 0
    }
  }
}
