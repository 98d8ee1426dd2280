public import Diagnostics
public import SystemPackage

extension File {
  /// All of a small file.
  ///
  /// - Parameter limit: bytes; a larger file is refused rather than read into memory.
  public static func contents(of path: FilePath, limit: Int, calls: SystemCalls = .live) throws(Failure) -> [UInt8] {
    let file = try open(path, calls: calls)
    let size = try file.status().size
    guard size <= limit else {
      throw Failure(
        .badData, Problem(.readFailed, "is too large: \(size) bytes, where \(limit) are the limit", file: path.string))
    }
    return try file.read(at: 0, count: size)
  }
}
