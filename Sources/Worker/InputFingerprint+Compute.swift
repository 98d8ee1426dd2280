public import Checkpoint
public import Diagnostics
import Digests
public import FileIO
public import Planning

extension InputFingerprint {
  private static let pageCount = 256
  private static let pageSize = 4096

  /// The header picks the pages, so that all who check pick the same.
  public init(of file: File, as weightFile: Checkpoint.WeightFile) throws(Failure) {
    let header = try file.read(at: 0, count: weightFile.dataStart).withUnsafeBytes { XXH3.digest(of: $0) }
    let data = weightFile.dataStart..<weightFile.size
    var places = SplitMix64(seed: header.low)
    var hash = XXH3()
    if data.count <= Self.pageCount * Self.pageSize {
      try Self.add(data, of: file, to: &hash)
    } else {
      for _ in 0..<Self.pageCount {
        let start = data.lowerBound + Int(places.next() % UInt64(data.count - Self.pageSize + 1))
        try Self.add(start..<start + Self.pageSize, of: file, to: &hash)
      }
    }
    self.init(name: weightFile.name, bytes: weightFile.size, header: header, pages: hash.digest())
  }

  private static func add(_ range: Range<Int>, of file: File, to hash: inout XXH3) throws(Failure) {
    let bytes = try file.read(at: range.lowerBound, count: range.count)
    bytes.withUnsafeBytes { hash.update($0) }
  }

  /// Of all files of an input.
  public static func all(_ checkpoint: Checkpoint, _ files: InputFiles) throws(Failure) -> [InputFingerprint] {
    var fingerprints: [InputFingerprint] = []
    for (index, weightFile) in checkpoint.files.enumerated() {
      fingerprints.append(try InputFingerprint(of: files.files[index], as: weightFile))
    }
    return fingerprints
  }
}
