import FileIO
import Foundation
import SystemPackage
import TestSupport

/// Runs work that waits for processes on a thread of its own, so that tests side by side do not wait for each other.
///
/// - Parameter isIdle: whether most of it is waiting. Of the rest only a few run at a time, as others measure time.
func onThread<Value: Sendable>(
  isIdle: Bool = false, _ work: @escaping @Sendable () throws -> Value
) async throws -> Value {
  try await withCheckedThrowingContinuation { continuation in
    Thread.detachNewThread {
      if !isIdle { places.wait() }
      defer { if !isIdle { places.signal() } }
      continuation.resume(with: Result { try work() })
    }
  }
}

private let places = DispatchSemaphore(value: 3)

/// A folder with a pair, in which merges are disturbed.
struct Site: Sendable {
  let folder = TemporaryFolder()

  /// Files of a pair of 200 kB, by path; made once.
  private static let pair: [String: [UInt8]] = {
    let folder = TemporaryFolder()
    _ = try? Tool(folder: folder.path)("sample", "--shape", "tiny", "--output", "pair")
    var files: [String: [UInt8]] = [:]
    for side in ["pair/sft", "pair/aligned"] {
      for name in TemporaryFolder.names(in: folder(side)) {
        files["\(side)/\(name)"] = TemporaryFolder.contents(folder("\(side)/\(name)"))
      }
    }
    return files
  }()

  init() {
    for (path, contents) in Self.pair { folder.write(contents, to: path) }
  }

  var tool: Tool { Tool(folder: folder.path) }

  /// 4 shards in one file.
  static func merge(_ output: String, _ more: [String] = []) -> [String] {
    [
      "merge", "--sft", "pair/sft", "--aligned", "pair/aligned", "--alpha", "0.3", "--shard-size", "64KiB", "--output",
      output,
    ] + more
  }

  /// Merges, and is killed at a point.
  func crash(at point: CrashPoint, _ arguments: [String], environment: [String: String] = [:]) throws -> Tool.Result {
    try tool.run(arguments, environment: environment.merging(["EXPOMERGE_CRASH_AT": point.rawValue]) { $1 })
  }

  /// Size and hash of all files below a folder, by path; nil where it is not there.
  func contents(_ name: String) -> [String: String]? {
    guard let below = FileManager.default.subpaths(atPath: folder(name).string) else { return nil }
    var files: [String: String] = [:]
    for path in below {
      let contents = TemporaryFolder.contents(folder(name).pushing(FilePath(path)))
      // The model card names the command, and the report tells when what was done.
      if !["README.md", "report.html"].contains(FilePath(path).lastComponent?.string) { files[path] = "\(contents?.count ?? 0) bytes, \(contents?.hashValue ?? 0)" }
    }
    return files
  }

  func weights(_ name: String, _ file: String = "model.safetensors") -> FilePath { folder(name).appending(file) }

  /// The entries of the folder that are not the pair.
  var outputs: Set<String> {
    TemporaryFolder.names(in: folder.path).filter { !$0.hasSuffix(".log") }.subtracting(["pair"])
  }

  /// Changes a bit of a file in its place.
  static func flip(_ file: FilePath, at byte: Int) {
    guard let stream = fopen(file.string, "r+") else { return }
    fseek(stream, byte, SEEK_SET)
    let old = fgetc(stream)
    fseek(stream, byte, SEEK_SET)
    fputc(old ^ 1, stream)
    fclose(stream)
  }
}
