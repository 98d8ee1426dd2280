import Checkpoint
import Diagnostics
import Digests
import FileIO
import Glibc
import Journal
import Kernels
import Planning
import Scheduling
import Synchronization
import SystemPackage
import Threads
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
  let journal: MergeJournal
  /// Shards that an earlier run has done, to be read back, and those of files that were on the disk, if they are trusted.
  let unchecked: [Int: Digest128]
  let trusted: [Int: Digest128]
  /// As the journal has it.
  let record: JobRecord
  /// Whether nothing was there before.
  let isNew: Bool
  /// Whether workers of an earlier run may still be at it.
  let mayHaveWriters: Bool
  private let options: MergeJob.Options
  private let output: FilePath
  private let calls: SystemCalls
  private let others: [Manifest.OtherFile]
  private let folder: Mutex<OutputFolder?>
  /// Shards that were read back and found to differ.
  let differing = Atomic(0)
  /// Files that could not be made durable: what is in them is lost.
  private let unsynced = Mutex<Set<Int>>([])

  private static let nonceFile = ".expomerge/nonce"

  /// Checks inputs and output, and makes the output's files at their full size, or finds what an earlier run has left.
  ///
  /// Blocks. Nothing new is left behind when it throws.
  ///
  /// - Parameters:
  ///   - shared: the journal of a coordinator, and its epoch; nil for one in the output folder.
  ///   - record: of the job that is gone on with.
  ///   - hasCompany: whether workers of other nodes may join.
  init(
    _ plan: Plan, job: JobID, output: FilePath, options: MergeJob.Options, context: RunContext, calls: SystemCalls,
    shared: (journal: Journal, epoch: Int)? = nil, resuming record: JobRecord? = nil, priority: Int = 0,
    hasCompany: Bool = true
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
    let nonce = String(UInt64.random(in: 0...UInt64.max), radix: 16) + String(UInt64.random(in: 0...UInt64.max), radix: 16)
    let new = JobRecord(
      number: job.number, priority: priority, submittedAt: wallMilliseconds(), recipe: plan.recipe,
      aligned: alignedPath.string, sft: sftPath.string, output: output.string,
      options: options.stored(hasCompany: hasCompany), plan: plan.fingerprint, alignedFiles: alignedFingerprints,
      sftFiles: sftFingerprints, nonce: nonce)
    if let record {
      try record.requireSame(plan, aligned: alignedFingerprints, sft: sftFingerprints, partial: output.string + ".partial")
    }
    let folder = try OutputFolder.create(
      output,
      inputs: [alignedPath, sftPath] + alignedInputs.files.map(\.path) + sftInputs.files.map(\.path),
      permissions: options.permissions, owner: shared.map { .job(job.number, journal: $0.journal.path) } ?? .merge,
      resumes: record != nil, calls: calls)
    var (journal, known) = (nil as MergeJournal?, record)
    do throws(Failure) {
      if let shared {
        journal = MergeJournal(journal: shared.journal, number: job.number, epoch: shared.epoch, isOwn: false)
      } else {
        let own = try Journal.open(folder.journal)
        CrashPoint.journalMade.pass()
        let holder = "process \(getpid()) on \(hostName)"
        journal = MergeJournal(
          journal: own, number: job.number, epoch: try own.beginEpoch(holder: holder, version: expomergeVersion),
          isOwn: true)
        known = try own.jobs().first
        if let known {
          try known.requireSame(
            plan, aligned: alignedFingerprints, sft: sftFingerprints, partial: folder.partial.string)
        } else {
          // It ended before there was anything to keep.
          try folder.clear()
        }
      }
      files = try folder.allocate(plan)
      CrashPoint.filesAllocated.pass()
      others = try folder.copyCompanions(of: plan.aligned, dtype: plan.recipe.dtype)
      try folder.write(Array(nonce.utf8), to: Self.nonceFile)
      if known == nil { try journal!.journal.add(new) }
      CrashPoint.jobRecorded.pass()
      let results = ResultSlots<ShardResult>(count: plan.shardCount)
      var (trusted, unchecked): ([Int: Digest128], [Int: Digest128]) = ([:], [:])
      if known != nil {
        let synced = options.trustsSynced ? try journal!.journal.syncedFiles(of: job.number) : []
        for (shard, result) in try journal!.results(plan) {
          results.set(result, at: shard)
          if synced.contains(plan.shard(shard).file) {
            trusted[shard] = result.digest
          } else {
            unchecked[shard] = result.digest
          }
        }
      }
      self.results = results
      self.trusted = trusted
      self.unchecked = unchecked
    } catch {
      if journal?.isOwn == true { journal?.journal.close() }
      // What an earlier run has done stays, also where its journal could not be read or written this time.
      if !folder.isResumed { folder.discard() }
      throw error
    }
    self.journal = journal!
    self.record = known ?? new
    isNew = known == nil
    mayHaveWriters = known?.hasCompany ?? false
    offer = .init(
      job: job, plan: plan.fingerprint, descriptionBytes: description.count,
      aligned: .init(folder: alignedPath.string, files: alignedFingerprints),
      sft: .init(folder: sftPath.string, files: sftFingerprints),
      output: .init(folder: folder.partial.string, nonceFile: Self.nonceFile, nonce: nonce))
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
    close()
    if let folder = folder.withLock({ $0.take() }) { folder.discard() }
  }

  /// Lets go of the journal, if it is the merge's own.
  func close() {
    if journal.isOwn { journal.journal.close() }
  }

  /// Writes what stands beside the weights, makes everything durable, and gives the folder its name.
  ///
  /// Blocks. All results must be there. Where a file cannot be made durable it can be called again, when what
  /// `takeLostShards` names was redone.
  func finish(_ context: RunContext) throws(Failure) -> MergeJob.Outcome {
    let (path, manifest, statistics, late) = try folder.withLock { (folder) throws(Failure) in
      guard let made = folder.take() else { preconditionFailure("a merge is finished once") }
      let sealed: (Manifest, MergeStatistics)
      do throws(Failure) {
        sealed = try seal(made, context)
      } catch {
        folder = consume made
        throw error
      }
      let path = made.output
      return (path, sealed.0, sealed.1, try made.publish(durable: options.sync == .full))
    }
    if !journal.isOwn { try journal.journal.setState(journal.number, .complete, problem: nil) }
    return MergeJob.Outcome(
      output: path, manifest: manifest, statistics: statistics, warnings: warnings(statistics) + late,
      resumed: unchecked.count + trusted.count, redone: differing.load(ordering: .relaxed))
  }

  /// Everything up to the rename.
  private func seal(
    _ folder: borrowing OutputFolder, _ context: RunContext
  ) throws(Failure) -> (Manifest, MergeStatistics) {
    CrashPoint.shardsDone.pass()
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
    CrashPoint.manifestWritten.pass()

    if options.sync == .full {
      context.progress.begin(.syncing, total: 0)
      context.tick(context.progress.snapshot)
      try syncFiles(context)
      CrashPoint.filesSynced.pass()
      try folder.sync()
      CrashPoint.folderSynced.pass()
    }
    try journal.journal.setState(journal.number, .publishing, problem: nil)
    // Its last page must be in the file before that moves.
    if journal.isOwn { journal.journal.close() }
    CrashPoint.publishing.pass()
    return (manifest, statistics)
  }

  /// Makes the weights durable. A failed fdatasync(2) is not tried again: the kernel may have dropped the pages that it
  /// could not write, and would say that all is well.
  private func syncFiles(_ context: RunContext) throws(Failure) {
    try context.run(files.count) { [self] (queue) throws(Failure) in
      while let index = queue.take() {
        do throws(Failure) {
          try files[index].syncData()
        } catch {
          unsynced.withLock { _ = $0.insert(index) }
          throw error
        }
        try journal.journal.setSynced(journal.number, file: index)
      }
    }
  }

  /// Shards of files that could not be made durable. They are forgotten, and have to be computed again.
  func takeLostShards() throws(Failure) -> Set<Int> {
    var lost: Set<Int> = []
    let files = unsynced.withLock { files in
      defer { files = [] }
      return files
    }
    for file in files {
      let shards = plan.files[file].firstShard..<plan.files[file].firstShard + plan.files[file].shardCount
      try journal.journal.forgetShards(of: journal.number, in: shards)
      lost.formUnion(shards)
    }
    return lost
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
