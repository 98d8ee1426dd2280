import Checkpoint
import Diagnostics
public import Digests
import FileIO
import Planning
import Worker

/// What identifies an input file without reading all of it: its size, its header, and 256 pages at places that the
/// plan picks.
///
/// Size and header alone are equal for every fine-tune of one architecture.
public struct InputFingerprint: Sendable, Equatable, Codable {
  public let name: String
  /// Of the file.
  public let bytes: Int
  public let header: Digest128
  public let pages: Digest128

  static let pageCount = 256
  static let pageSize = 4096

  /// - Parameter seed: from the plan, so that all who check pick the same pages.
  init(of file: File, as weightFile: Checkpoint.WeightFile, seed: UInt64) throws(Failure) {
    name = weightFile.name
    bytes = weightFile.header.fileSize
    header = try file.read(at: 0, count: weightFile.header.dataStart).withUnsafeBytes { XXH3.digest(of: $0) }
    let data = weightFile.header.dataStart..<weightFile.header.fileSize
    var places = SplitMix64(seed: seed)
    var hash = XXH3()
    if data.count <= Self.pageCount * Self.pageSize {
      try Self.add(data, of: file, to: &hash)
    } else {
      for _ in 0..<Self.pageCount {
        let start = data.lowerBound + Int(places.next() % UInt64(data.count - Self.pageSize + 1))
        try Self.add(start..<start + Self.pageSize, of: file, to: &hash)
      }
    }
    pages = hash.digest()
  }

  private static func add(_ range: Range<Int>, of file: File, to hash: inout XXH3) throws(Failure) {
    let bytes = try file.read(at: range.lowerBound, count: range.count)
    bytes.withUnsafeBytes { hash.update($0) }
  }

  static func all(
    _ checkpoint: Checkpoint, _ files: InputFiles, plan: Plan
  ) throws(Failure) -> [InputFingerprint] {
    var fingerprints: [InputFingerprint] = []
    for (index, weightFile) in checkpoint.files.enumerated() {
      fingerprints.append(
        try InputFingerprint(of: files.files[index], as: weightFile, seed: plan.fingerprint.low &+ UInt64(index)))
    }
    return fingerprints
  }
}
