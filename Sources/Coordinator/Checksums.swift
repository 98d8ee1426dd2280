import Crypto
import Diagnostics
import FileIO
import SystemPackage

/// SHA-256 of files, as model hubs show it and `sha256sum -c` checks it.
enum Checksums {
  static let fileName = "SHA256SUMS"
  private static let blockSize = 1 << 20

  /// A line of SHA256SUMS; names with a backslash or line break are escaped as coreutils does.
  static func line(file: String, digest: String) -> String {
    let escaped = file.replacing("\\", with: "\\\\").replacing("\n", with: "\\n")
    return (escaped == file ? "" : "\\") + "\(digest)  \(escaped)"
  }

  /// 64 lower-case hexadecimal digits, by file.
  static func compute(_ files: [FilePath], _ context: RunContext) throws(Failure) -> [String] {
    let digests = ResultSlots<String>(count: files.count)
    try context.run(files.count) { (queue) throws(Failure) in
      while let index = queue.take() {
        if let digest = try compute(files[index], context, queue) { digests.set(digest, at: index) }
      }
    }
    return digests.values.compactMap { $0 }
  }

  private static func compute(_ path: FilePath, _ context: RunContext, _ queue: WorkQueue) throws(Failure) -> String? {
    let file = try File.open(path)
    let size = try file.status().size
    context.progress.workingOn(path.lastComponent?.string ?? "")
    var hash = SHA256()
    var offset = 0
    while offset < size {
      guard queue.mayContinue else { return nil }
      let block = try file.read(at: offset, count: min(blockSize, size - offset))
      block.withUnsafeBytes { hash.update(bufferPointer: $0) }
      offset += block.count
      context.progress.add(block.count)
    }
    return hash.finalize().map { byte in
      let digits = String(byte, radix: 16)
      return digits.utf8.count == 1 ? "0" + digits : digits
    }.joined()
  }
}
