import CKernels
import Glibc

/// A set of instructions that the kernels are compiled for. Every level gives the same bits.
public enum CPULevel: String, Sendable, CaseIterable {
  /// x86-64 with SSE2, or arm64 with NEON.
  case portable
  /// x86-64-v3: AVX2 and F16C.
  case v3 = "x86-64-v3"
  /// x86-64-v4: AVX-512.
  case v4 = "x86-64-v4"

  var code: expo_level {
    switch self {
    case .portable: EXPO_LEVEL_PORTABLE
    case .v3: EXPO_LEVEL_V3
    case .v4: EXPO_LEVEL_V4
    }
  }

  public var isAvailable: Bool { expo_level_available(code) != 0 }

  /// The levels that this CPU can run, slowest first.
  public static var available: [CPULevel] { allCases.filter(\.isAvailable) }

  /// The highest available level; `EXPOMERGE_CPU_LEVEL` asks for a lower one, for tests.
  public static let best: CPULevel = {
    if let name = getenv("EXPOMERGE_CPU_LEVEL"), let level = CPULevel(rawValue: String(cString: name)), level.isAvailable {
      return level
    }
    return available.last ?? .portable
  }()
}
