public import Diagnostics
public import SystemPackage

extension File {
  /// All of a small file.
  ///
  /// - Parameter limit: bytes; a larger file is refused rather than read into memory.
  public static func contents(of path: FilePath, limit: Int) throws(Failure) -> [UInt8] {
    let file = try open(path)
    let size = try file.status().size
    guard size <= limit else {
      throw Failure(
        .badData, Problem(.readFailed, "is too large: \(size) bytes, where \(limit) are the limit", file: path.string))
    }
    return try file.read(at: 0, count: size)
  }

  /// Copies a file into a new one, 1 MiB at a time.
  public static func copy(_ from: FilePath, to: FilePath, calls: SystemCalls = .live) throws(Failure) -> File {
    let source = try open(from, calls: calls)
    let target = try create(to, calls: calls)
    let size = try source.status().size
    var offset = 0
    while offset < size {
      let block = try source.read(at: offset, count: min(size - offset, 1 << 20))
      try target.write(block, at: offset)
      offset += block.count
    }
    return target
  }
}
