import Checkpoint
import Deltas
import Diagnostics
import Digests
import FileIO
import Glibc
import Journal
import Kernels
import Planning
import Report
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
  let source: JobSource
  var plan: Plan { source.plan }
  /// Those of the plan's `outputs`.
  let files: [File]
  let results: ResultSlots<ShardResult>
  let offer: CoordinatorMessage.JobOffer
  let journal: MergeJournal
  /// Shards that an earlier run has done, to be read back, and those of files that were on the disk, if they are trusted.
  let unchecked: [Int: Digest128]
  let trusted: [Int: Digest128]
  /// As the journal has it.
  let record: JobRecord
  /// Of the output folder.
  let warnings: [Problem]
  /// Whether nothing was there before.
  let isNew: Bool
  /// Whether workers of an earlier run may still be at it.
  let mayHaveWriters: Bool
  private let options: MergeJob.Options
  private let output: FilePath
  private let calls: SystemCalls
  /// Of each variant.
  private let others: [Manifest.OtherFile]
  private let folder: Mutex<OutputFolder?>
  /// SHA-256 by output file, where they are wanted.
  let sums: ResultSlots<String>
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
    self.options = options
    self.output = output
    self.calls = calls
    source = try JobSource(plan, method: context.readMethod, calls: calls)
    let (alignedPath, sftPath) = (source.folder(.aligned), source.folder(.sft))
    let (alignedFingerprints, sftFingerprints) = (source.fingerprints(.aligned), source.fingerprints(.sft))
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
      inputs: [alignedPath, sftPath] + (source.files(.aligned).files + source.files(.sft).files).map(\.path),
      permissions: options.permissions, owner: shared.map { .job(job.number, journal: $0.journal.path) } ?? .merge,
      resumes: record != nil, calls: calls)
    var (journal, known) = (nil as MergeJournal?, record)
    do throws(Failure) {
      if let shared {
        journal = MergeJournal(journal: shared.journal, number: job.number, epoch: shared.epoch, isOwn: false)
      } else {
        let own = try Self.openJournal(of: folder)
        CrashPoint.journalMade.pass()
        // Closed, whatever fails from here on.
        journal = MergeJournal(journal: own, number: job.number, epoch: 0, isOwn: true)
        let holder = "process \(getpid()) on \(hostName)"
        let epoch = try own.beginEpoch(holder: holder, version: expomergeVersion)
        journal = MergeJournal(journal: own, number: job.number, epoch: epoch, isOwn: true)
        known = try own.jobs().first
        if let known {
          try known.requireSame(
            plan, aligned: alignedFingerprints, sft: sftFingerprints, partial: folder.partial.string)
        } else {
          // It ended before there was anything to keep.
          try folder.clear()
        }
      }
      // Before there is anything that would belong to nobody if this life ended here.
      if let known {
        // Whoever goes on after this life goes by what was asked for last.
        let stored = options.stored(hasCompany: hasCompany || known.hasCompany)
        if stored != known.options { try journal!.journal.setOptions(job.number, stored) }
      } else {
        try journal!.journal.add(new)
      }
      CrashPoint.jobRecorded.pass()
      try folder.claim()
      let kept: Set<Int>
      (files, kept) = try folder.allocate(plan)
      CrashPoint.filesAllocated.pass()
      others = try folder.copyCompanions(for: plan)
      try folder.write(Array(nonce.utf8), to: Self.nonceFile)
      let results = ResultSlots<ShardResult>(count: plan.shardCount)
      var (trusted, unchecked): ([Int: Digest128], [Int: Digest128]) = ([:], [:])
      if known != nil {
        let known = try journal!.results(plan)
        for (shard, result) in known { results.set(result, at: shard) }
        let synced = try journal!.journal.syncedFiles(of: job.number)
        for (file, planned) in plan.files.enumerated() {
          let shards = planned.firstShard..<planned.firstShard + planned.shardCount
          let digests = Dictionary(uniqueKeysWithValues: shards.compactMap { shard in known[shard].map { (shard, $0.digest) } })
          let numbers = plan.outputs(of: file)
          if options.trustsSynced && synced.isSuperset(of: numbers) && kept.isSuperset(of: numbers) && digests.count == shards.count {
            trusted.merge(digests) { $1 }
          } else {
            unchecked.merge(digests) { $1 }
            // It may be written to again.
            for number in numbers where synced.contains(number) { try journal!.journal.forgetSynced(job.number, file: number) }
          }
        }
      }
      self.results = results
      sums = ResultSlots(count: plan.outputs.count)
      self.trusted = trusted
      self.unchecked = unchecked
    } catch {
      if journal?.isOwn == true { journal?.journal.close() }
      // What was there before is kept, whatever is wrong with it or its journal.
      if known == nil && !folder.isResumed {
        folder.discard()
        if let shared { try? shared.journal.removeJob(job.number) }
      }
      throw error
    }
    self.journal = journal!
    self.record = known ?? new
    isNew = known == nil
    warnings = folder.warnings
    mayHaveWriters = known?.hasCompany ?? false
    offer = source.offer(
      job, .merge, output: .init(folder: folder.partial.string, nonceFile: Self.nonceFile, nonce: nonce))
    self.folder = Mutex(consume folder)
  }

  private static func openJournal(of folder: borrowing OutputFolder) throws(Failure) -> Journal {
    do throws(Failure) {
      return try Journal.open(folder.journal)
    } catch {
      var failure = error
      for index in failure.problems.indices where [.journalInvalid, .journalNewer].contains(failure.problems[index].code) {
        failure.problems[index].remedy =
          failure.problems[index].code == .journalNewer
          ? "run that version, or discard what it left and begin again with --restart"
          : "restore it from a copy, or discard what is there and begin again with --restart"
      }
      throw failure
    }
  }

  /// Removes the output folder, of a merge that was given up before anything was computed.
  func discard() {
    let folder = folder.withLock { $0.take() }
    close()
    if let folder { folder.discard() }
  }

  /// Output files whose SHA-256 is wanted.
  var sumCount: Int { options.sha256 ? plan.outputs.count : 0 }

  /// Lets go of the output folder, and of the journal, if it is the merge's own.
  func close() {
    if journal.isOwn { journal.journal.close() }
    _ = folder.withLock { $0.take() }
  }

  /// Writes what stands beside the weights, makes everything durable, and gives the folder its name.
  ///
  /// Blocks. All results must be there. Where it throws and there are lost files it can be called again, when what
  /// `takeLostShards` names was redone.
  func finish(_ context: RunContext) throws(Failure) -> MergeJob.Outcome {
    let (path, sealed, late) = try folder.withLock { (folder) throws(Failure) in
      guard let made = folder.take() else { preconditionFailure("a merge is finished once") }
      let sealed: Sealed
      do throws(Failure) {
        sealed = try seal(made, context)
      } catch {
        folder = consume made
        throw error
      }
      let path = made.output
      return (path, sealed, try made.publish(durable: options.sync == .full))
    }
    if !journal.isOwn { try journal.journal.setState(journal.number, .complete, failure: nil) }
    return MergeJob.Outcome(
      output: path, manifests: sealed.manifests, statistics: sealed.statistics, warnings: sealed.warnings + late,
      resumed: unchecked.count + trusted.count, redone: differing.load(ordering: .relaxed))
  }

  /// A merge that only lacks its name.
  private struct Sealed {
    /// Of each variant.
    let manifests: [Manifest]
    /// Of the first variant.
    let statistics: MergeStatistics
    let warnings: [Problem]
  }

  /// Everything up to the rename.
  private func seal(_ folder: borrowing OutputFolder, _ context: RunContext) throws(Failure) -> Sealed {
    CrashPoint.shardsDone.pass()
    let results = results.values.compactMap { $0 }
    precondition(results.count == plan.shardCount)
    var manifests: [Manifest] = []
    var statistics: [MergeStatistics] = []
    for variant in plan.variants.indices {
      statistics.append(MergeStatistics(results, plan: plan, variant: variant))
      manifests.append(try seal(variant, results, statistics[variant], folder, context))
    }
    let warnings = warnings + self.warnings(about: statistics)
    let unwritten = writeReports(manifests, statistics, warnings, folder)
    CrashPoint.manifestWritten.pass()

    if options.sync == .full {
      context.progress.begin(.syncing, total: 0)
      context.tick(context.progress.snapshot)
      try syncFiles(context)
      CrashPoint.filesSynced.pass()
      try folder.sync(except: plan)
      CrashPoint.folderSynced.pass()
    }
    try journal.journal.setState(journal.number, .publishing, failure: nil)
    // Its last page must be in the file before that moves.
    if journal.isOwn { journal.journal.close() }
    CrashPoint.publishing.pass()
    return Sealed(manifests: manifests, statistics: statistics[0], warnings: warnings + unwritten)
  }

  /// Writes what stands beside the weights of one variant, as a merge of its own would.
  private func seal(
    _ variant: Int, _ results: [ShardResult], _ statistics: MergeStatistics, _ folder: borrowing OutputFolder,
    _ context: RunContext
  ) throws(Failure) -> Manifest {
    let place = plan.variants[variant]
    var others = others
    if let index = plan.index {
      let contents = index.encoded(totalSize: plan.tensorBytes, totalParameters: plan.parameterCount)
      let name = "model.safetensors.index.json"
      try folder.write(contents, to: place.path(name))
      others.append(.init(path: name, contents: contents))
    }
    let digests = results.map { $0.digests[variant] }
    var manifest = Manifest(
      version: expomergeVersion, recipe: plan.recipe.single(variant), plan: plan.fingerprint(of: variant),
      weights: Manifest.weightsDigest(of: digests),
      aligned: .init(path: offer.aligned.folder, files: offer.aligned.files),
      sft: .init(path: offer.sft.folder, files: offer.sft.files),
      files: plan.files.map { file in
        .init(name: file.name, bytes: file.size, shards: Array(digests[file.firstShard..<file.firstShard + file.shardCount]))
      },
      others: others, notes: plan.notes, total: statistics.total,
      tensors: plan.pairs.indices.filter { plan.pairs[$0].isExtrapolated }.map { index in
        .init(name: plan.pairs[index].name, sums: statistics.tensors[index])
      })
    if options.sha256 {
      for index in manifest.files.indices { manifest.files[index].sha256 = sums.values[plan.outputs(of: index)[variant]] }
    }
    try folder.write(manifest.encoded(), to: place.path(Manifest.fileName))
    try folder.write(Array(card(manifest, place).markdown.utf8), to: place.path("README.md"))
    if options.sha256 { try writeChecksums(manifest, place, folder, context) }
    return manifest
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
          // At once: whoever went on after a crash would find them in the page cache, and take them for written.
          _ = try? forgetShards(of: index % plan.files.count)
          throw error
        }
        try journal.journal.setSynced(journal.number, file: index)
      }
    }
  }

  /// Whether files could not be made durable.
  var hasLostFiles: Bool { unsynced.withLock { !$0.isEmpty } }

  /// Shards of files that could not be made durable. They are forgotten, and have to be computed again.
  func takeLostShards() throws(Failure) -> Set<Int> {
    var lost: Set<Int> = []
    let files = unsynced.withLock { files in
      defer { files = [] }
      return files
    }
    for file in Set(files.map { $0 % plan.files.count }) { lost.formUnion(try forgetShards(of: file)) }
    return lost
  }

  /// - Parameter file: index into the plan's files.
  private func forgetShards(of file: Int) throws(Failure) -> Range<Int> {
    let shards = plan.files[file].firstShard..<plan.files[file].firstShard + plan.files[file].shardCount
    try journal.journal.forgetShards(of: journal.number, in: shards)
    for number in plan.outputs(of: file) { try journal.journal.forgetSynced(journal.number, file: number) }
    return shards
  }

  // MARK: what stands beside the weights

  /// Everything but the model card, which people edit, and the list itself.
  private func writeChecksums(
    _ manifest: Manifest, _ place: Plan.Variant, _ folder: borrowing OutputFolder, _ context: RunContext
  ) throws(Failure) {
    let others = manifest.others.map(\.path) + [Manifest.fileName]
    var paths: [FilePath] = []
    for other in others { paths.append(folder.partial.pushing(FilePath(place.path(other)))) }
    let sums = try Checksums.compute(paths, context)
    let all = manifest.files.map { ($0.name, $0.sha256 ?? "") } + zip(others, sums)
    let lines = all.sorted { $0.0 < $1.0 }.map { Checksums.line(file: $0, digest: $1) }
    try folder.write(Array((lines.joined(separator: "\n") + "\n").utf8), to: place.path(Checksums.fileName))
  }

  /// Writes the pages for people: one for each variant, and where there are several, one for all. That they cannot be
  /// written is no reason to lose a merge.
  ///
  /// - Returns: why they were not.
  private func writeReports(
    _ manifests: [Manifest], _ statistics: [MergeStatistics], _ warnings: [Problem], _ folder: borrowing OutputFolder
  ) -> [Problem] {
    var reports: [(path: String, variant: Int?)] = plan.variants.enumerated().map { ($1.path(Report.fileName), $0) }
    if reports.count > 1 { reports.append((Report.fileName, nil)) }
    do throws(Failure) {
      let shards = try journal.journal.shards(of: journal.number)
      for (path, variant) in reports {
        let report = Report(
          manifests, of: variant, plan: plan, statistics: statistics, output: variant.map { plan.variants[$0].folder(in: output) } ?? output,
          command: options.command, warnings: warnings, shards: shards)
        try folder.write(Array(report.html.utf8), to: path)
      }
      return []
    } catch {
      for (path, _) in reports { folder.remove(path) }
      return error.problems.map { Problem(.reportNotWritten, "\(Report.fileName) is not written: \($0)") }
    }
  }

  private func card(_ manifest: Manifest, _ place: Plan.Variant) -> ModelCard {
    ModelCard(
      name: place.folder(in: output).lexicallyNormalized().lastComponent?.string ?? "merged",
      alignedName: ModelCard.modelName(of: FilePath(manifest.aligned.path)),
      sftName: ModelCard.modelName(of: FilePath(manifest.sft.path)),
      manifest: manifest, command: options.command, isTransformers: plan.aligned.config != nil)
  }

  /// - Parameter statistics: of each variant; they differ in what is counted in the output.
  private func warnings(about statistics: [MergeStatistics]) -> [Problem] {
    var overflows: [(alpha: Double?, count: UInt64)] = []
    for (variant, statistics) in zip(plan.variants, statistics) {
      overflows.append((plan.variants.count > 1 ? variant.alpha : nil, statistics.total.overflows))
    }
    return DeltaJudgement.warnings(about: statistics[0].total, overflows: overflows)
      + statistics[0].differingCopies.map { name, bytes in
        Problem(
          .copiedTensorDiffers, "the pair differs in \(bytes) bytes; the tensor is copied from aligned, as it is not floating-point",
          tensor: name)
      }
  }
}
