import Diagnostics
import FileIO
import SystemPackage
import Worker

/// SHA-256 of files, as model hubs show it and `sha256sum -c` checks it.
enum Checksums {
  static let fileName = "SHA256SUMS"

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
    context.progress.workingOn(path.lastComponent?.string ?? "")
    return try file.sha256(
      of: 0..<file.status().size, mayContinue: { queue.mayContinue }, didRead: context.progress.add)
  }
}
