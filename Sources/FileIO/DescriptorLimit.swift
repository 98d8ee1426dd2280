public import Diagnostics
import Glibc

/// How many files and sockets the process may have open at a time; getrlimit(2) `RLIMIT_NOFILE`.
public enum DescriptorLimit {
  public static var current: Int {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return .max }
    return Int(clamping: limit.rlim_cur)
  }

  /// Refuses what would run out of descriptors on the way.
  ///
  /// - Parameter needed: for files; some are kept for sockets and the rest.
  public static func require(_ needed: Int) throws(Failure) {
    if let problem = problem(needed + reserve) { throw Failure(.inputOutput, problem) }
  }

  public static func warnings(needed: Int) -> [Problem] { problem(needed).map { [$0] } ?? [] }

  private static let reserve = 64

  private static func problem(_ needed: Int) -> Problem? {
    let limit = current
    guard needed > limit else { return nil }
    return Problem(
      .descriptorLimit, "\(needed) files and sockets may have to be open at a time, and \(limit) can be",
      remedy: "raise the hard limit (ulimit -Hn, or LimitNOFILE= of systemd)")
  }
}

extension Problem.Code {
  public static let descriptorLimit = Self("descriptor-limit")
}
