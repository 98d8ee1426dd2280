public import SystemPackage

/// How inputs are read.
public enum ReadMethod: String, Sendable, CaseIterable, Codable {
  /// Mapped into memory.
  case mmap
  /// Read into buffers.
  case pread

  /// What is fastest for files at a path: see docs/decisions.md for the measurements.
  public static func automatic(at path: FilePath) -> ReadMethod {
    .pread
  }
}
