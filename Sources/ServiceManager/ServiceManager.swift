import Glibc

/// What a service manager such as systemd is told over the socket that it names in NOTIFY_SOCKET (sd_notify(3)). Nothing that
/// goes wrong there is worth ending a daemon for.
public final class ServiceManager: Sendable {
  public enum State: Sendable, Equatable {
    /// Started, or done with reloading.
    case ready
    case reloading
    case stopping
    /// What is being done, in a line.
    case status(String)
    /// A sign of life.
    case alive
  }

  private let descriptor: Int32
  private let path: String
  /// Seconds within which it wants signs of life; nil where it does not.
  public let watchdogSeconds: Double?

  /// - Parameter environment: as the service manager has set it.
  /// - Returns: nil where there is none, or its socket has no such name.
  public init?(environment: [String: String]) {
    guard let path = environment["NOTIFY_SOCKET"], path.hasPrefix("/") || path.hasPrefix("@"), path.utf8.count > 1,
      path.utf8.count < Self.pathLimit
    else { return nil }
    descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { return nil }
    self.path = path
    // Set for another process where this one is its child.
    let isForThis = environment["WATCHDOG_PID"].map { $0 == "\(getpid())" } ?? true
    let microseconds = environment["WATCHDOG_USEC"].flatMap { UInt64($0) } ?? 0
    watchdogSeconds = isForThis && microseconds > 0 ? Double(microseconds) / 1e6 : nil
  }

  deinit { close(descriptor) }

  private static let pathLimit = MemoryLayout.size(ofValue: sockaddr_un().sun_path)

  public func tell(_ states: State...) {
    let text = states.map(Self.line).joined(separator: "\n")
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { bytes in
      bytes.copyBytes(from: path.utf8)
      // A name that belongs to no file.
      if path.hasPrefix("@") { bytes[0] = 0 }
    }
    let length = socklen_t(MemoryLayout<sa_family_t>.size + path.utf8.count)
    _ = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        sendto(descriptor, text, text.utf8.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT), $0, length)
      }
    }
  }

  private static func line(_ state: State) -> String {
    switch state {
    case .ready: return "READY=1"
    case .stopping: return "STOPPING=1"
    case .alive: return "WATCHDOG=1"
    case .status(let text): return "STATUS=" + text.split(whereSeparator: \.isNewline).joined(separator: " ")
    case .reloading:
      var time = timespec()
      clock_gettime(CLOCK_MONOTONIC, &time)
      return "RELOADING=1\nMONOTONIC_USEC=\(Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000)"
    }
  }
}
