import Checkpoint
import Diagnostics
import Digests
import FileIO
import Kernels
import Planning
import SystemPackage
import Worker

/// An output that is there already and is what would be merged now: the same command was run before, and a crash may
/// have kept it from saying that it was done.
enum CompleteOutput {
  /// Compares recipe, inputs, and what is in the folder with its manifest. Weights are not read, which takes as long as
  /// merging them: their names and sizes are looked at.
  ///
  /// - Returns: what it came to; nil where something else is there, or nothing.
  static func find(
    _ plan: Plan, output path: FilePath, options: MergeJob.Options
  ) throws(Failure) -> MergeJob.Outcome? {
    let (output, _) = try OutputFolder.places(path)
    let state = output.appending(OutputFolder.stateName)
    var manifests: [Manifest] = []
    for (number, variant) in plan.variants.enumerated() {
      let folder = variant.folder(in: output)
      guard try Directories.live.kind(of: folder.appending(Manifest.fileName)) != nil,
        let manifest = try? Manifest.read(from: folder),
        manifest.plan == plan.fingerprint(of: number), manifest.recipe == plan.recipe.single(number),
        try holds(folder, manifest, plan, options), manifest.isMadeOfTheSame(as: manifests.first ?? manifest)
      else { return nil }
      manifests.append(manifest)
    }
    // Else a merge is not done with it.
    guard try Directories.live.kind(of: state.appending(OutputFolder.journalName)) == nil, try isMade(manifests[0], of: plan)
    else { return nil }
    if options.sync == .full {
      for (variant, manifest) in zip(plan.variants, manifests) { try sync(variant.folder(in: output), manifest) }
      try Directories.live.sync(output)
      try Directories.live.sync(output.removingLastComponent())
    }
    if try Directories.live.kind(of: state) != nil { try OutputFolder.removeState(of: output) }
    let sums = Dictionary(manifests[0].tensors.map { ($0.name, $0.sums) }) { first, _ in first }
    let statistics = MergeStatistics(
      tensors: plan.pairs.map { sums[$0.name] ?? DeltaSums() },
      differing: Array(repeating: 0, count: plan.pairs.count), plan: plan)
    return MergeJob.Outcome(
      output: output, manifests: manifests, statistics: statistics, warnings: [], resumed: plan.shardCount, redone: 0,
      wasComplete: true)
  }

  /// Whether all files are there that would be made.
  private static func holds(
    _ output: FilePath, _ manifest: Manifest, _ plan: Plan, _ options: MergeJob.Options
  ) throws(Failure) -> Bool {
    guard manifest.files.map(\.name) == plan.files.map(\.name) else { return false }
    for (file, planned) in zip(manifest.files, plan.files) {
      let isWhole = try Directories.live.kind(of: output.appending(file.name)) == .file(size: planned.size)
      guard isWhole, file.sha256 != nil || !options.sha256 else { return false }
    }
    var expected: [String: Digest128?] = [:]
    for companion in plan.aligned.companions {
      let contents = try OutputFolder.contents(of: companion.path, plan.aligned, plan.recipe.dtype)
      expected[companion.path] = contents.withUnsafeBytes { XXH3.digest(of: $0) }
    }
    // It follows from the plan.
    if plan.index != nil { expected["model.safetensors.index.json"] = .some(nil) }
    guard Set(expected.keys) == Set(manifest.others.map(\.path)) else { return false }
    for other in manifest.others {
      let path = output.pushing(FilePath(other.path))
      guard expected[other.path] == .some(nil) || expected[other.path] == other.digest,
        try Directories.live.kind(of: path) == .file(size: other.bytes),
        try File.contents(of: path, limit: 1 << 30).withUnsafeBytes({ XXH3.digest(of: $0) }) == other.digest
      else { return false }
    }
    return true
  }

  /// Whether the inputs of a plan, which is the same, are what they were.
  private static func isMade(_ manifest: Manifest, of plan: Plan) throws(Failure) -> Bool {
    let aligned = try InputFingerprint.all(plan.aligned, InputFiles(of: plan.aligned))
    let sft = try InputFingerprint.all(plan.sft, InputFiles(of: plan.sft))
    return manifest.aligned.files == aligned && manifest.sft.files == sft
  }

  /// It may have been merged with `--sync none`.
  private static func sync(_ output: FilePath, _ manifest: Manifest) throws(Failure) {
    let names = manifest.files.map(\.name) + manifest.others.map(\.path) + [Manifest.fileName]
    let files = names.map { output.pushing(FilePath($0)) }
    for file in files { try File.open(file).syncData() }
    for folder in Set(files.map { $0.removingLastComponent() }) { try Directories.live.sync(folder) }
  }
}

extension Manifest {
  /// Whether both are of the same pair.
  fileprivate func isMadeOfTheSame(as other: Manifest) -> Bool { aligned == other.aligned && sft == other.sft }
}
