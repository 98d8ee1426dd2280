import Checkpoint
public import Diagnostics
import Digests
public import FileIO
import Kernels
public import Planning
public import SystemPackage
import Worker

/// One merge from a plan to a published folder.
public struct MergeJob: Sendable {
  public enum Sync: String, Sendable, CaseIterable {
    /// Everything is on the disk before the folder gets its name.
    case full
    /// The system writes when it likes, as after cp.
    case none
  }

  public struct Options: Sendable {
    public var sync = Sync.full
    public var sha256 = false
    public var permissions = OutputFolder.Permissions()
    /// For the model card.
    public var command = ""

    public init() {}
  }

  public struct Outcome: Sendable {
    public let output: FilePath
    public let manifest: Manifest
    public let statistics: MergeStatistics
    public let warnings: [Problem]
  }

  private let plan: Plan
  private let output: FilePath
  private let options: Options
  private let context: RunContext
  private let calls: SystemCalls

  public init(
    plan: Plan, output: FilePath, options: Options = Options(), context: RunContext, calls: SystemCalls = .live
  ) {
    self.calls = calls
    self.plan = plan
    self.output = output
    self.options = options
    self.context = context
  }

  /// Merges. Nothing is called OUTPUT before it is complete.
  ///
  /// - Throws: `interrupted` after a cancellation; `OUTPUT.partial` is then left.
  public func run() throws(Failure) -> Outcome {
    context.progress.begin(.preparing, total: 0)
    let aligned = try InputFiles(of: plan.aligned, method: context.readMethod, calls: calls)
    let sft = try InputFiles(of: plan.sft, method: context.readMethod, calls: calls)
    let alignedPath = try Directories.live.resolve(plan.aligned.folder)
    let sftPath = try Directories.live.resolve(plan.sft.folder)
    let alignedFingerprints = try InputFingerprint.all(plan.aligned, aligned, plan: plan)
    let sftFingerprints = try InputFingerprint.all(plan.sft, sft, plan: plan)

    let folder = try OutputFolder.create(
      output, inputs: [alignedPath, sftPath] + aligned.files.map(\.path) + sft.files.map(\.path),
      permissions: options.permissions, calls: calls)
    let files: [File]
    var others: [Manifest.OtherFile]
    do throws(Failure) {
      files = try folder.allocate(plan)
      others = try folder.copyCompanions(of: plan.aligned, dtype: plan.recipe.dtype)
    } catch {
      folder.discard()
      throw error
    }

    let results = try compute(aligned, sft, into: files)
    let statistics = MergeStatistics(results, plan: plan)
    if let index = plan.index {
      let contents = index.encoded(totalSize: plan.tensorBytes, totalParameters: plan.parameterCount)
      others.append(try folder.write(contents, to: "model.safetensors.index.json"))
    }
    var manifest = Manifest(
      version: expomergeVersion, recipe: plan.recipe, plan: plan.fingerprint, weights: Manifest.weightsDigest(of: results.map(\.digest)),
      aligned: .init(path: alignedPath.string, files: alignedFingerprints),
      sft: .init(path: sftPath.string, files: sftFingerprints),
      files: plan.files.map { file in
        let shards = results[file.firstShard..<file.firstShard + file.shardCount].map(\.digest)
        return .init(name: file.name, bytes: file.size, shards: shards)
      },
      others: others, notes: plan.notes, total: statistics.total,
      tensors: plan.pairs.indices.filter { plan.pairs[$0].treatment != .copy }.map { index in
        .init(name: plan.pairs[index].name, sums: statistics.tensors[index])
      })

    if options.sha256 { manifest = try addChecksums(to: manifest, folder) }
    try folder.write(manifest.encoded(), to: Manifest.fileName)
    try folder.write(Array(card(manifest).markdown.utf8), to: "README.md")
    if options.sha256 { try writeChecksums(manifest, folder) }

    if options.sync == .full {
      context.progress.begin(.syncing, total: 0)
      context.tick(context.progress.snapshot)
      try sync(files)
      try folder.sync()
    }
    let path = folder.output
    let late = try folder.publish(durable: options.sync == .full)
    return Outcome(output: path, manifest: manifest, statistics: statistics, warnings: warnings(statistics) + late)
  }

  // MARK: shards

  private func compute(
    _ aligned: InputFiles, _ sft: InputFiles, into files: [File]
  ) throws(Failure) -> [ShardResult] {
    let (plan, context, startsWriteback) = (plan, context, options.sync == .full)
    let results = ResultSlots<ShardResult>(count: plan.shardCount)
    context.progress.begin(.merging, total: plan.outputBytes)
    try context.run(plan.shardCount) { (queue) throws(Failure) in
      var executor = ShardExecutor(plan: plan, aligned: aligned, sft: sft)
      while let number = queue.take() {
        let shard = plan.shard(number)
        let file = files[shard.file]
        context.progress.workingOn(plan.files[shard.file].name)
        let result = try executor.compute(
          shard, into: FileSink(file), mayContinue: { queue.mayContinue }, didFinishBlock: context.progress.add)
        guard let result else { return }
        // The last sync then finds little to do.
        if startsWriteback { file.startWriteback(of: shard.range) }
        results.set(result, at: number)
      }
    }
    return results.values.compactMap { $0 }
  }

  private func sync(_ files: [File]) throws(Failure) {
    try context.run(files.count) { (queue) throws(Failure) in
      while let index = queue.take() { try files[index].syncData() }
    }
  }

  // MARK: what stands beside the weights

  private func addChecksums(to manifest: Manifest, _ folder: borrowing OutputFolder) throws(Failure) -> Manifest {
    context.progress.begin(.checksums, total: plan.outputBytes)
    var paths: [FilePath] = []
    for file in manifest.files { paths.append(folder.partial.appending(file.name)) }
    let sums = try Checksums.compute(paths, context)
    var manifest = manifest
    for index in manifest.files.indices { manifest.files[index].sha256 = sums[index] }
    return manifest
  }

  /// Everything but the model card, which people edit, and the list itself.
  private func writeChecksums(_ manifest: Manifest, _ folder: borrowing OutputFolder) throws(Failure) {
    let others = manifest.others.map(\.path) + [Manifest.fileName]
    var paths: [FilePath] = []
    for other in others { paths.append(folder.partial.pushing(FilePath(other))) }
    let sums = try Checksums.compute(paths, context)
    let all = manifest.files.map { ($0.name, $0.sha256 ?? "") } + zip(others, sums)
    let lines = all.sorted { $0.0 < $1.0 }.map { Checksums.line(file: $0, digest: $1) }
    try folder.write(Array((lines.joined(separator: "\n") + "\n").utf8), to: Checksums.fileName)
  }

  private func card(_ manifest: Manifest) -> ModelCard {
    ModelCard(
      name: output.lexicallyNormalized().lastComponent?.string ?? "merged",
      alignedName: ModelCard.modelName(of: FilePath(manifest.aligned.path)),
      sftName: ModelCard.modelName(of: FilePath(manifest.sft.path)),
      manifest: manifest, command: options.command, isTransformers: plan.aligned.config != nil)
  }

  private func warnings(_ statistics: MergeStatistics) -> [Problem] {
    DeltaJudgement.warnings(about: statistics.total, isSample: false)
      + statistics.differingCopies.map { name, bytes in
        Problem(
          .copiedTensorDiffers, "the pair differs in \(bytes) bytes; the tensor is copied from aligned, as it is not floating-point",
          tensor: name)
      }
  }
}
