import Checkpoint
import Diagnostics
import Digests
import FileIO
import Kernels
import Planning
import Scheduling
import Synchronization
import SystemPackage
import Wire
import Worker

/// A merge whose output folder is there and filled by whoever computes shards; then it is finished.
///
/// Used by one thread at a time, but for the files, which any thread may read and write.
final class PreparedMerge: Sendable {
  let plan: Plan
  let alignedInputs: InputFiles
  let sftInputs: InputFiles
  let files: [File]
  let results: ResultSlots<ShardResult>
  let offer: CoordinatorMessage.JobOffer
  let description: [UInt8]
  let stretches: [Scheduler.JobSpecification.Stretch]
  private let options: MergeJob.Options
  private let output: FilePath
  private let calls: SystemCalls
  private let others: [Manifest.OtherFile]
  private let folder: Mutex<OutputFolder?>

  private static let nonceFile = ".expomerge/nonce"

  /// Checks inputs and output, and makes the output's files at their full size.
  ///
  /// Blocks. Nothing is left behind when it throws.
  init(
    _ plan: Plan, job: JobID, output: FilePath, options: MergeJob.Options, context: RunContext, calls: SystemCalls
  ) throws(Failure) {
    self.plan = plan
    self.options = options
    self.output = output
    self.calls = calls
    alignedInputs = try InputFiles(of: plan.aligned, method: context.readMethod, calls: calls)
    sftInputs = try InputFiles(of: plan.sft, method: context.readMethod, calls: calls)
    let alignedPath = try Directories.live.resolve(plan.aligned.folder)
    let sftPath = try Directories.live.resolve(plan.sft.folder)
    let alignedFingerprints = try InputFingerprint.all(plan.aligned, alignedInputs, plan: plan)
    let sftFingerprints = try InputFingerprint.all(plan.sft, sftInputs, plan: plan)
    description = JobDescription(plan).encoded()
    guard description.count <= Limits.descriptionBytes else {
      throw Failure(
        .badData, Problem(.tooManyTensors, "the description of the job takes \(description.count) bytes", file: output.string))
    }

    stretches = plan.stretches()
    let folder = try OutputFolder.create(
      output,
      inputs: [alignedPath, sftPath] + alignedInputs.files.map(\.path) + sftInputs.files.map(\.path),
      permissions: options.permissions, calls: calls)
    let nonce = String(UInt64.random(in: 0...UInt64.max), radix: 16) + String(UInt64.random(in: 0...UInt64.max), radix: 16)
    do throws(Failure) {
      files = try folder.allocate(plan)
      others = try folder.copyCompanions(of: plan.aligned, dtype: plan.recipe.dtype)
      try folder.write(Array(nonce.utf8), to: Self.nonceFile)
    } catch {
      folder.discard()
      throw error
    }
    offer = .init(
      job: job, plan: plan.fingerprint, descriptionBytes: description.count,
      aligned: .init(folder: alignedPath.string, files: alignedFingerprints),
      sft: .init(folder: sftPath.string, files: sftFingerprints),
      output: .init(folder: folder.partial.string, nonceFile: Self.nonceFile, nonce: nonce))
    results = ResultSlots(count: plan.shardCount)
    self.folder = Mutex(consume folder)
  }

  /// The bytes of an input file, or of the description.
  func source(_ source: DataMessage.Source, file: Int) -> File? {
    let inputs =
      switch source {
      case .aligned: alignedInputs
      case .sft: sftInputs
      case .description: nil as InputFiles?
      }
    guard let inputs, inputs.files.indices.contains(file) else { return nil }
    return inputs.files[file]
  }

  /// Removes the output folder, of a merge that was given up before anything was computed.
  func discard() {
    if let folder = folder.withLock({ $0.take() }) { folder.discard() }
  }

  /// Writes what stands beside the weights, makes everything durable, and gives the folder its name.
  ///
  /// Blocks. All results must be there.
  func finish(_ context: RunContext) throws(Failure) -> MergeJob.Outcome {
    guard let folder = folder.withLock({ $0.take() }) else { preconditionFailure("a merge is finished once") }
    let results = results.values.compactMap { $0 }
    precondition(results.count == plan.shardCount)
    let statistics = MergeStatistics(results, plan: plan)
    var others = others
    if let index = plan.index {
      let contents = index.encoded(totalSize: plan.tensorBytes, totalParameters: plan.parameterCount)
      others.append(try folder.write(contents, to: "model.safetensors.index.json"))
    }
    var manifest = Manifest(
      version: expomergeVersion, recipe: plan.recipe, plan: plan.fingerprint,
      weights: Manifest.weightsDigest(of: results.map(\.digest)),
      aligned: .init(path: offer.aligned.folder, files: offer.aligned.files),
      sft: .init(path: offer.sft.folder, files: offer.sft.files),
      files: plan.files.map { file in
        let shards = results[file.firstShard..<file.firstShard + file.shardCount].map(\.digest)
        return .init(name: file.name, bytes: file.size, shards: shards)
      },
      others: others, notes: plan.notes, total: statistics.total,
      tensors: plan.pairs.indices.filter { plan.pairs[$0].treatment != .copy }.map { index in
        .init(name: plan.pairs[index].name, sums: statistics.tensors[index])
      })

    if options.sha256 { manifest = try addChecksums(to: manifest, folder, context) }
    try folder.write(manifest.encoded(), to: Manifest.fileName)
    try folder.write(Array(card(manifest).markdown.utf8), to: "README.md")
    if options.sha256 { try writeChecksums(manifest, folder, context) }

    if options.sync == .full {
      context.progress.begin(.syncing, total: 0)
      context.tick(context.progress.snapshot)
      try context.run(files.count) { [files] (queue) throws(Failure) in
        while let index = queue.take() { try files[index].syncData() }
      }
      try folder.sync()
    }
    let path = folder.output
    let late = try folder.publish(durable: options.sync == .full)
    return MergeJob.Outcome(
      output: path, manifest: manifest, statistics: statistics, warnings: warnings(statistics) + late)
  }

  // MARK: what stands beside the weights

  private func addChecksums(
    to manifest: Manifest, _ folder: borrowing OutputFolder, _ context: RunContext
  ) throws(Failure) -> Manifest {
    context.progress.begin(.checksums, total: plan.outputBytes)
    var paths: [FilePath] = []
    for file in manifest.files { paths.append(folder.partial.appending(file.name)) }
    let sums = try Checksums.compute(paths, context)
    var manifest = manifest
    for index in manifest.files.indices { manifest.files[index].sha256 = sums[index] }
    return manifest
  }

  /// Everything but the model card, which people edit, and the list itself.
  private func writeChecksums(
    _ manifest: Manifest, _ folder: borrowing OutputFolder, _ context: RunContext
  ) throws(Failure) {
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

extension Problem.Code {
  static let tooManyTensors = Self("too-many-tensors")
}
