import Coordinator
import Diagnostics
import FileIO
import Journal
import Kernels
import Threads
import ZeroMQ

extension Examination {
  /// What the program stands on: CPU, libraries, limits and the clock.
  mutating func examineMachine(milliseconds: Int = wallMilliseconds()) {
    ok("expomerge", "version \(expomergeVersion), \(ThreadTeam.availableCPUs) CPUs may be used")
    let (used, best) = (CPULevel.best, CPULevel.available.last ?? .portable)
    if used != best {
      warning("cpu", "kernels for \(used.rawValue) are used, and this CPU can run those for \(best.rawValue)", "unset EXPOMERGE_CPU_LEVEL")
    } else if used == .portable && CPULevel.hasFaster {
      warning(
        "cpu", "has no AVX2: the portable kernels are used, which compute more slowly, the same bytes",
        "nothing, where disk or network are slower still; expomerge plan tells how much there is to read")
    } else {
      ok("cpu", "kernels for \(used.rawValue) are used")
    }
    if Context.hasCurve {
      ok("libzmq", "version \(Context.version), with CURVE")
    } else {
      problem(
        "libzmq", .unavailable, "version \(Context.version) is built without CURVE: keys cannot be used", "install libzmq with libsodium")
    }
    if let version = attempt("sqlite", { () throws(Failure) in try Journal.libraryVersion() }) { ok("sqlite", "version \(version)") }
    let limit = DescriptorLimit.current
    if limit < 1024 {
      warning(
        "descriptors", "\(limit) files and sockets may be open at a time, where a coordinator wants 1024",
        "raise the hard limit (ulimit -Hn, or LimitNOFILE= of systemd)")
    } else {
      ok("descriptors", "\(limit) files and sockets may be open at a time")
    }
    // 2025 to 2100.
    if (1_735_689_600_000..<4_102_444_800_000).contains(milliseconds) {
      ok("clock", "is set; it only dates logs, and decides nothing")
    } else {
      warning("clock", "is not set: logs have wrong dates; nothing else depends on it", "set it, or start an NTP client")
    }
  }
}

extension CPULevel {
  /// Whether other kernels than the portable are compiled for this architecture.
  fileprivate static var hasFaster: Bool {
    #if arch(x86_64)
      true
    #else
      false
    #endif
  }
}
