public import Diagnostics
public import Digests
public import FileIO
import FoundationEssentials
public import Kernels
public import Planning
public import SystemPackage

extension Problem.Code {
  public static let manifestInvalid = Self("manifest-invalid")
}

/// `expomerge.json` beside the merged weights: what they were made from and what they must be
/// (docs/file-formats.md). It holds nothing that depends on when or by how many threads the merge ran.
public struct Manifest: Sendable, Equatable, Codable {
  public struct Input: Sendable, Equatable, Codable {
    /// Absolute, on the machine that merged.
    public let path: String
    public let files: [InputFingerprint]
  }

  public struct WeightFile: Sendable, Equatable, Codable {
    public let name: String
    public let bytes: Int
    /// XXH3-128 of each shard, in order.
    public let shards: [Digest128]
    public var sha256: String?
  }

  /// A file beside the weights: copied from aligned, or the index.
  public struct OtherFile: Sendable, Equatable, Codable {
    public let path: String
    public let bytes: Int
    /// XXH3-128.
    public let digest: Digest128

    init(path: String, contents: [UInt8]) {
      self.path = path
      bytes = contents.count
      digest = contents.withUnsafeBytes { XXH3.digest(of: $0) }
    }
  }

  /// What was changed in a tensor, or in all of them.
  public struct Statistics: Sendable, Equatable, Codable {
    public let name: String
    public let sums: DeltaSums
  }

  /// Of this format.
  public var format = 1
  /// Of expomerge.
  public let version: String
  public let recipe: Recipe
  /// Of the plan: recipe and headers.
  public let plan: Digest128
  /// `weightsDigest` of all shards: one value that identifies the merged weights.
  public let weights: Digest128
  public let aligned: Input
  public let sft: Input
  public var files: [WeightFile]
  /// Not the model card, which people edit.
  public let others: [OtherFile]
  public let notes: [String]
  public let total: DeltaSums
  /// By tensor, in the order of the plan; copied tensors are left out.
  public let tensors: [Statistics]

  public static let fileName = "expomerge.json"
  private static let sizeLimit = 1 << 30

  func encoded() -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    if tensors.count <= 2000 { encoder.outputFormatting.insert(.prettyPrinted) }
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    guard let data = try? encoder.encode(self) else { preconditionFailure("a manifest is always valid JSON") }
    return Array(data) + [UInt8(ascii: "\n")]
  }

  /// The checkpoints that a merge has made: the folder, or those in it that are named by their alphas.
  public static func folders(in output: FilePath, _ directories: Directories = .live) throws(Failure) -> [FilePath] {
    var folders: [FilePath] = []
    if try directories.kind(of: output.appending(fileName)) != nil { return [output] }
    for name in try directories.names(in: output).sorted() where name.hasPrefix("alpha-") {
      let folder = output.appending(name)
      if try directories.kind(of: folder.appending(fileName)) != nil { folders.append(folder) }
    }
    return folders
  }

  /// Reads the manifest of a merged checkpoint.
  public static func read(from folder: FilePath, calls: SystemCalls = .live) throws(Failure) -> Manifest {
    let path = folder.appending(fileName)
    guard try Directories.live.kind(of: path) != nil else {
      let several = ((try? folders(in: folder)) ?? []).compactMap { $0.lastComponent?.string }
      throw Failure(
        .inputNotFound,
        Problem(
          .manifestInvalid, "there is no \(fileName)", file: folder.string,
          remedy: several.isEmpty
            ? "point at a folder that expomerge merge has written" : "name one of the checkpoints in it: \(several.joined(separator: ", "))"))
    }
    let decoder = JSONDecoder()
    decoder.nonConformingFloatDecodingStrategy = .convertFromString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    let data = try Data(File.contents(of: path, limit: sizeLimit, calls: calls))
    guard let header = try? decoder.decode(Header.self, from: data) else {
      throw refusal("is not a manifest of expomerge", path)
    }
    guard header.format == 1 else {
      throw refusal("is of format \(header.format); this expomerge reads format 1", path)
    }
    guard let manifest = try? decoder.decode(Manifest.self, from: data) else {
      throw refusal("is not a complete manifest", path)
    }
    try manifest.check(path)
    return manifest
  }

  /// What is read first, to tell a newer format from a damaged file.
  private struct Header: Decodable {
    let format: Int
  }

  /// Nothing in a manifest is believed before it has been checked.
  private func check(_ path: FilePath) throws(Failure) {
    guard recipe.problems().isEmpty, recipe.alphas.count == 1, !files.isEmpty else { throw Self.refusal("has no valid recipe or no files", path) }
    for file in files {
      guard Self.staysInside(file.name), !file.name.utf8.contains(UInt8(ascii: "/")), (1...1 << 60).contains(file.bytes),
        file.shards.count == (file.bytes - 1) / recipe.shardSize + 1
      else { throw Self.refusal("the entry of \(file.name) is not consistent", path) }
    }
    for file in others where !Self.staysInside(file.path) || file.bytes < 0 {
      throw Self.refusal("the path '\(file.path)' leads outside of the folder", path)
    }
    guard Self.weightsDigest(of: files.flatMap(\.shards)) == weights else {
      throw Self.refusal("its digests contradict each other", path)
    }
  }

  private static func staysInside(_ path: String) -> Bool {
    let parts = path.split(separator: "/", omittingEmptySubsequences: false)
    return !parts.contains { $0.isEmpty || $0 == "." || $0 == ".." } && !path.utf8.contains(0)
  }

  /// One value for the digests of all shards, in order.
  static func weightsDigest(of shards: [Digest128]) -> Digest128 {
    var hasher = CanonicalHasher()
    for shard in shards { hasher.combine(shard) }
    return hasher.digest()
  }

  private static func refusal(_ message: String, _ path: FilePath) -> Failure {
    Failure(.badData, Problem(.manifestInvalid, message, file: path.string, remedy: "restore the file or merge again"))
  }
}
