import Checkpoint
public import Diagnostics
import Digests
import FileIO
import Planning
public import SystemPackage
import Worker

extension Problem.Code {
  public static let fileMissing = Self("file-missing")
  public static let fileSizeDiffers = Self("file-size-differs")
  public static let shardDiffers = Self("shard-differs")
  public static let fileUnlisted = Self("file-unlisted")
  public static let fileDiffers = Self("file-differs")
  public static let checksumDiffers = Self("checksum-differs")
  public static let recomputedDiffers = Self("recomputed-differs")
}

/// Checks a merged checkpoint against its manifest.
public struct Verification: Sendable {
  public struct Report: Sendable {
    public var shards = 0
    public var bytes = 0
    public var problems: [Problem] = []
  }

  public let folder: FilePath
  public let manifest: Manifest
  private let context: RunContext

  public init(_ folder: FilePath, context: RunContext) throws(Failure) {
    self.folder = folder
    manifest = try Manifest.read(from: folder)
    self.context = context
  }

  private struct Piece: Sendable {
    let file: Int
    let shard: Int
    let range: Range<Int>
  }

  private static let blockSize = 1 << 20

  // MARK: digests

  /// Reads every shard and compares its digest, and those of the files beside the weights.
  public func checkDigests() throws(Failure) -> Report {
    var report = Report()
    var files: [File?] = []
    var pieces: [Piece] = []
    for (index, file) in manifest.files.enumerated() {
      let path = folder.appending(file.name)
      guard let opened = try open(path, bytes: file.bytes, &report) else {
        files.append(nil)
        continue
      }
      files.append(opened)
      for shard in file.shards.indices {
        let start = shard * manifest.recipe.shardSize
        pieces.append(
          Piece(file: index, shard: shard, range: start..<min(start + manifest.recipe.shardSize, file.bytes)))
      }
    }
    context.progress.begin(.verifying, total: pieces.reduce(0) { $0 + $1.range.count })
    let (manifest, context, work, open) = (manifest, context, pieces, files)
    let found = ResultSlots<Problem>(count: pieces.count)
    try context.run(pieces.count) { (queue) throws(Failure) in
      while let number = queue.take() {
        let piece = work[number]
        guard let file = open[piece.file] else { continue }
        context.progress.workingOn(manifest.files[piece.file].name)
        guard let digest = try Self.digest(piece.range, of: file, context, queue) else { return }
        if digest != manifest.files[piece.file].shards[piece.shard] {
          found.set(
            Problem(
              .shardDiffers, "shard \(piece.shard) of \(piece.range.count) bytes is not what was merged",
              file: file.path.string, byte: piece.range.lowerBound,
              remedy: "merge again, or fetch the file again"), at: number)
        }
      }
    }
    report.shards = pieces.count
    report.bytes = pieces.reduce(0) { $0 + $1.range.count }
    report.problems += found.values.compactMap { $0 }
    for other in manifest.others {
      let path = folder.pushing(FilePath(other.path))
      guard let file = try self.open(path, bytes: other.bytes, &report) else { continue }
      let queue = WorkQueue(count: 1, cancellation: context.cancellation)
      if try Self.digest(0..<other.bytes, of: file, context, queue) != other.digest {
        report.problems.append(
          Problem(
            .fileDiffers, "the file is not what was written", file: path.string,
            remedy: "merge again, or fetch the file again"))
      }
    }
    let known = Set(manifest.files.map(\.name))
    for name in try Directories.live.names(in: folder) where name.hasSuffix(".safetensors") && !known.contains(name) {
      report.problems.append(
        Problem(
          .fileUnlisted, "the file is not part of the merge, but a loader may take it for weights",
          file: folder.appending(name).string, remedy: "remove it"))
    }
    return report
  }

  private func open(_ path: FilePath, bytes: Int, _ report: inout Report) throws(Failure) -> File? {
    guard case .file(let size)? = try Directories.live.kind(of: path) else {
      report.problems.append(
        Problem(.fileMissing, "the file is missing", file: path.string, remedy: "merge again, or fetch the file again"))
      return nil
    }
    guard size == bytes else {
      report.problems.append(
        Problem(
          .fileSizeDiffers, "the file has \(size) bytes instead of \(bytes)", file: path.string,
          remedy: "merge again, or fetch the file again"))
      return nil
    }
    return try File.open(path)
  }

  private static func digest(
    _ range: Range<Int>, of file: File, _ context: RunContext, _ queue: WorkQueue
  ) throws(Failure) -> Digest128? {
    var hash = XXH3()
    var offset = range.lowerBound
    while offset < range.upperBound {
      guard queue.mayContinue else { return nil }
      let block = try file.read(at: offset, count: min(blockSize, range.upperBound - offset))
      block.withUnsafeBytes { hash.update($0) }
      offset += block.count
      context.progress.add(block.count)
    }
    return hash.digest()
  }

  // MARK: checksums

  /// Compares the SHA-256 of every weight file with the manifest's.
  public func checkSHA256() throws(Failure) -> Report {
    var report = Report()
    guard manifest.files.allSatisfy({ $0.sha256 != nil }) else {
      throw Failure(
        .badData,
        Problem(
          .checksumDiffers, "the manifest has no SHA-256 digests", file: folder.string,
          remedy: "merge with --sha256 to have them"))
    }
    var expected: [Manifest.WeightFile] = []
    for file in manifest.files where try open(folder.appending(file.name), bytes: file.bytes, &report) != nil {
      expected.append(file)
    }
    context.progress.begin(.checksums, total: expected.reduce(0) { $0 + $1.bytes })
    let sums = try Checksums.compute(expected.map { folder.appending($0.name) }, context)
    for (file, sum) in zip(expected, sums) where file.sha256 != sum {
      report.problems.append(
        Problem(
          .checksumDiffers, "the SHA-256 is \(sum), not \(file.sha256 ?? "")",
          file: folder.appending(file.name).string, remedy: "merge again, or fetch the file again"))
    }
    report.bytes = expected.reduce(0) { $0 + $1.bytes }
    return report
  }

  // MARK: computing again

  /// Computes shards again from the inputs and compares their digests with the manifest's.
  ///
  /// - Parameters:
  ///   - aligned: where it is now; nil for the path in the manifest.
  ///   - sample: how many shards, picked at random; nil for all.
  public func recompute(aligned: FilePath? = nil, sft: FilePath? = nil, sample: Int? = nil) throws(Failure) -> Report {
    let plan = try Plan(
      aligned: Checkpoint.open(aligned ?? FilePath(manifest.aligned.path)),
      sft: Checkpoint.open(sft ?? FilePath(manifest.sft.path)), recipe: manifest.recipe)
    let expected = manifest.files.flatMap(\.shards)
    guard plan.fingerprint == manifest.plan, plan.shardCount == expected.count else {
      throw Failure(
        .badData,
        Problem(
          .planDiffers, "the inputs' headers are not those that were merged", file: folder.string,
          remedy: "name the right checkpoints with --sft and --aligned"))
    }
    let alignedFiles = try InputFiles(of: plan.aligned, method: context.readMethod)
    let sftFiles = try InputFiles(of: plan.sft, method: context.readMethod)
    try compare(try InputFingerprint.all(plan.aligned, alignedFiles, plan: plan), manifest.aligned, plan.aligned)
    try compare(try InputFingerprint.all(plan.sft, sftFiles, plan: plan), manifest.sft, plan.sft)

    let chosen: [Int]
    if let sample, sample < plan.shardCount {
      chosen = Array((0..<plan.shardCount).shuffled().prefix(sample)).sorted()
    } else {
      chosen = Array(0..<plan.shardCount)
    }
    let total = chosen.reduce(0) { $0 + plan.shard($1).range.count }
    context.progress.begin(.recomputing, total: total)
    let found = ResultSlots<Problem>(count: chosen.count)
    let (context, folder) = (context, folder)
    try context.run(chosen.count) { (queue) throws(Failure) in
      var executor = ShardExecutor(plan: plan, aligned: alignedFiles, sft: sftFiles)
      while let index = queue.take() {
        let shard = plan.shard(chosen[index])
        context.progress.workingOn(plan.files[shard.file].name)
        let result = try executor.compute(
          shard, into: NoSink(), mayContinue: { queue.mayContinue }, didFinishBlock: context.progress.add)
        guard let result else { return }
        if result.digest != expected[shard.number] {
          found.set(
            Problem(
              .recomputedDiffers, "shard \(shard.number) computed again differs from the manifest",
              file: folder.appending(plan.files[shard.file].name).string, byte: shard.range.lowerBound,
              remedy: "merge again; if it happens again, suspect the machine that merged"), at: index)
        }
      }
    }
    return Report(shards: chosen.count, bytes: total, problems: found.values.compactMap { $0 })
  }

  private func compare(
    _ now: [InputFingerprint], _ then: Manifest.Input, _ checkpoint: Checkpoint
  ) throws(Failure) {
    let changed = zip(now, then.files).filter { $0 != $1 }.map(\.0.name)
    guard now.count == then.files.count, changed.isEmpty else {
      throw Failure(
        .badData,
        (changed.isEmpty ? [""] : changed).map { name in
          Problem(
            .inputChanged, "the input is not the one that was merged: its contents have changed",
            file: checkpoint.folder.appending(name).string, remedy: "restore it, or merge again")
        })
    }
  }
}
