import Checkpoint
import Diagnostics
import Digests
import FileIO
import Planning
import Scheduling
import Synchronization
import SystemPackage
import Wire
import Worker

/// A finished merge that workers read back and compute again, to be compared with its manifest.
final class PreparedVerification: Sendable {
  let source: JobSource
  let manifest: Manifest
  /// The weight files, as the manifest has them.
  let files: [File]
  let offer: CoordinatorMessage.JobOffer
  /// What the manifest says, by shard.
  let expected: [Digest128]
  /// Shards that are computed again.
  let proved: Set<Int>
  private let folder: FilePath
  private let found: Mutex<[Problem]>

  /// Checks what needs no workers: that all files are there, and those beside the weights.
  ///
  /// Blocks.
  ///
  /// - Throws: `badData` where a weight file is missing or has another size, or the inputs are not those of the merge.
  init(
    _ request: ClientRequest.Verify, job: JobID, context: RunContext, calls: SystemCalls
  ) throws(Failure) {
    let verification = try Verification(FilePath(request.folder), context: context, calls: calls)
    folder = try Directories.live.resolve(verification.folder)
    manifest = verification.manifest
    var report = Verification.Report()
    files = try verification.openWeights(&report).compactMap { $0 }
    guard report.problems.isEmpty else { throw Failure(.badData, report.problems) }
    try verification.checkOthers(&report)
    found = Mutex(report.problems)
    source = try verification.source(
      aligned: CoordinatorService.path(ofModel: request.aligned, calls), sft: CoordinatorService.path(ofModel: request.sft, calls))
    expected = manifest.files.flatMap(\.shards)
    proved = Set(verification.pick(request.sample))
    let path = folder.appending(Manifest.fileName)
    offer = source.offer(
      job, .verify,
      output: .init(
        folder: folder.string, nonceFile: Manifest.fileName,
        nonce: try File.digest(of: path, calls: calls).description))
  }

  /// Of what is read, and of what is computed.
  var bytes: Int { source.plan.outputBytes + proved.reduce(0) { $0 + source.plan.shard($1).range.count } }

  /// By place; the first of very many.
  var problems: [Problem] {
    let all = found.withLock { $0.sorted { ($0.file ?? "", $0.byte ?? 0) < ($1.file ?? "", $1.byte ?? 0) } }
    guard all.count > Self.problemLimit else { return all }
    let rest = Problem(.shardDiffers, "and \(all.count - Self.problemLimit) more like these", file: folder.string)
    return all.prefix(Self.problemLimit) + [rest]
  }

  private static let problemLimit = 1000

  func add(_ problem: Problem) { found.withLock { $0.append(problem) } }

  /// The output does not hold what the manifest says.
  func addDifference(_ number: Int) {
    let shard = source.plan.shard(number)
    add(
      Verification.differs(
        manifest.files[shard.file].name, in: folder, shard: number - source.plan.files[shard.file].firstShard, shard.range))
  }

  /// Takes the digest of a shard that was computed again.
  func compare(_ number: Int, _ digest: Digest128) {
    guard digest != expected[number] else { return }
    let shard = source.plan.shard(number)
    add(Verification.computedDiffers(manifest.files[shard.file].name, in: folder, shard: number, shard.range))
  }
}
