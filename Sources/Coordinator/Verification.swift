import Checkpoint
public import Diagnostics
import Digests
public import FileIO
import Planning
public import SystemPackage
import Wire
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
  private let calls: SystemCalls

  public init(_ folder: FilePath, context: RunContext, calls: SystemCalls = .live) throws(Failure) {
    self.folder = folder
    manifest = try Manifest.read(from: folder, calls: calls)
    self.context = context
    self.calls = calls
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
    let files = try openWeights(&report)
    var pieces: [Piece] = []
    for (index, file) in manifest.files.enumerated() where files[index] != nil {
      for shard in file.shards.indices {
        let start = shard * manifest.recipe.shardSize
        pieces.append(
          Piece(file: index, shard: shard, range: start..<min(start + manifest.recipe.shardSize, file.bytes)))
      }
    }
    context.progress.begin(.verifying, total: pieces.reduce(0) { $0 + $1.range.count })
    let (manifest, context, work, open, folder) = (manifest, context, pieces, files, folder)
    let found = ResultSlots<Problem>(count: pieces.count)
    try context.run(pieces.count) { (queue) throws(Failure) in
      while let number = queue.take() {
        let piece = work[number]
        guard let file = open[piece.file] else { continue }
        context.progress.workingOn(manifest.files[piece.file].name)
        guard let digest = try Self.digest(piece.range, of: file, context, queue) else { return }
        if digest != manifest.files[piece.file].shards[piece.shard] {
          found.set(
            Self.differs(manifest.files[piece.file].name, in: folder, shard: piece.shard, piece.range), at: number)
        }
      }
    }
    report.shards = pieces.count
    report.bytes = pieces.reduce(0) { $0 + $1.range.count }
    report.problems += found.values.compactMap { $0 }
    try checkOthers(&report)
    return report
  }

  /// The files of weights; nil where one is missing or has another size, which is reported.
  func openWeights(_ report: inout Report) throws(Failure) -> [File?] {
    var files: [File?] = []
    for file in manifest.files { files.append(try open(folder.appending(file.name), bytes: file.bytes, &report)) }
    return files
  }

  /// Compares what lies beside the weights.
  func checkOthers(_ report: inout Report) throws(Failure) {
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
    for name in try Directories(calls: calls).names(in: folder) where name.hasSuffix(".safetensors") && !known.contains(name) {
      report.problems.append(
        Problem(
          .fileUnlisted, "the file is not part of the merge, but a loader may take it for weights",
          file: folder.appending(name).string, remedy: "remove it"))
    }
  }

  /// - Parameter shard: counted from the file's first.
  static func differs(_ name: String, in folder: FilePath, shard: Int, _ range: Range<Int>) -> Problem {
    Problem(
      .shardDiffers, "shard \(shard) of \(range.count) bytes is not what was merged", file: folder.appending(name).string,
      byte: range.lowerBound, remedy: "merge again, or fetch the file again")
  }

  /// - Parameter shard: counted from the merge's first.
  static func computedDiffers(_ name: String, in folder: FilePath, shard: Int, _ range: Range<Int>) -> Problem {
    Problem(
      .recomputedDiffers, "shard \(shard) computed again differs from the manifest", file: folder.appending(name).string,
      byte: range.lowerBound, remedy: "merge again; if it happens again, suspect the machine that merged")
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
    return try File.open(path, calls: calls)
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
    let source = try source(aligned: aligned, sft: sft)
    let (plan, alignedFiles, sftFiles) = (source.plan, source.files(.aligned), source.files(.sft))
    let chosen = pick(sample)
    let total = chosen.reduce(0) { $0 + plan.shard($1).range.count }
    context.progress.begin(.recomputing, total: total)
    let found = ResultSlots<Problem>(count: chosen.count)
    let (context, folder, expected) = (context, folder, manifest.files.flatMap(\.shards))
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
            Self.computedDiffers(plan.files[shard.file].name, in: folder, shard: shard.number, shard.range), at: index)
        }
      }
    }
    return Report(shards: chosen.count, bytes: total, problems: found.values.compactMap { $0 })
  }

  /// Numbers of shards, in order.
  ///
  /// - Parameter sample: how many, picked at random; nil for all.
  func pick(_ sample: Int?) -> [Int] {
    let all = 0..<manifest.files.reduce(0) { $0 + $1.shards.count }
    guard let sample, sample < all.count else { return Array(all) }
    return all.shuffled().prefix(sample).sorted()
  }

  /// The inputs, if they are those that were merged.
  func source(aligned: FilePath?, sft: FilePath?) throws(Failure) -> JobSource {
    let plan = try Plan(
      aligned: Checkpoint.open(aligned ?? FilePath(manifest.aligned.path), calls: calls),
      sft: Checkpoint.open(sft ?? FilePath(manifest.sft.path), calls: calls), recipe: manifest.recipe)
    guard plan.fingerprint == manifest.plan, plan.files.map(\.shardCount) == manifest.files.map(\.shards.count) else {
      throw Failure(
        .badData,
        Problem(
          .planDiffers, "the inputs' headers are not those that were merged", file: folder.string,
          remedy: "name the right checkpoints with --sft and --aligned"))
    }
    let source = try JobSource(plan, method: context.readMethod, calls: calls)
    try compare(source.fingerprints(.aligned), manifest.aligned, plan.aligned)
    try compare(source.fingerprints(.sft), manifest.sft, plan.sft)
    return source
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
