/// How inputs are read.
public enum ReadMethod: String, Sendable, CaseIterable, Codable {
  /// Mapped into memory.
  case mmap
  /// Read into buffers that stay in the cache.
  case pread

  /// What took the least processor time wherever it was measured (docs/decisions.md).
  public static let automatic = ReadMethod.pread
}
