import Checkpoint
public import Diagnostics
import Digests
import FoundationEssentials
import Journal
import Kernels
import Planning
import Threads
import Wire
import Worker

/// What a journal keeps of one merge: it is this merge's own, or one of a coordinator.
struct MergeJournal: Sendable {
  let journal: Journal
  /// Of the job in the journal.
  let number: Int
  let epoch: Int
  /// Whether it lies in the output folder, and ends with the merge.
  let isOwn: Bool

  /// What was asked for beside the recipe.
  struct Options: Codable, Equatable {
    var sync: String
    var sha256: Bool
    var overwrite: Bool
    var command: String
    /// Whether workers of other nodes could join.
    var hasCompany: Bool
  }

  /// Keeps a result; `completion` is called when it is durable, on a thread of the journal.
  func record(
    _ finished: WorkerMessage.Finished, bytes: Int, worker: String,
    completion: @escaping @Sendable (Result<Void, Failure>) -> Void
  ) {
    let segments = finished.segments.map {
      ShardRecord.Segment(pair: $0.pair, sums: $0.sums, others: $0.others ?? [], differingBytes: $0.differingBytes)
    }
    let record = ShardRecord(
      shard: finished.shard, digests: finished.digests, worker: worker, attempt: finished.attempt, epoch: epoch,
      bytes: bytes, milliseconds: finished.milliseconds, finishedAt: wallMilliseconds(), segments: segments)
    journal.record(record, of: number, completion: completion)
  }

  /// What was recorded and fits the plan, by shard. What does not is computed again.
  func results(_ plan: Plan) throws(Failure) -> [Int: ShardResult] {
    var results: [Int: ShardResult] = [:]
    for record in try journal.shards(of: number) where record.shard < plan.shardCount {
      let segments = record.segments.map {
        ShardResult.SegmentResult(pair: $0.pair, sums: $0.sums, others: $0.others, differingBytes: $0.differingBytes)
      }
      let result = ShardResult(shard: record.shard, digests: record.digests, segments: segments)
      if plan.accepts(result) { results[record.shard] = result }
    }
    return results
  }
}

extension MergeJob.Options {
  /// As the journal keeps them.
  func stored(hasCompany: Bool) -> String {
    let options = MergeJournal.Options(
      sync: sync.rawValue, sha256: sha256, overwrite: permissions.overwrite, command: command, hasCompany: hasCompany)
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    guard let data = try? encoder.encode(options) else { preconditionFailure("options are always valid JSON") }
    return String(decoding: data, as: UTF8.self)
  }

  /// - Returns: nil where it is not what `stored` has written.
  init?(stored: String) {
    guard let options = try? JSONDecoder().decode(MergeJournal.Options.self, from: Data(stored.utf8)),
      let sync = MergeJob.Sync(rawValue: options.sync)
    else { return nil }
    self.init()
    self.sync = sync
    sha256 = options.sha256
    permissions.overwrite = options.overwrite
    command = options.command
  }
}

extension JobRecord {
  /// Whether workers of other nodes may have been at it.
  var hasCompany: Bool {
    (try? JSONDecoder().decode(MergeJournal.Options.self, from: Data(options.utf8)))?.hasCompany ?? true
  }

  /// Refuses to go on with something else than what was begun.
  ///
  /// - Parameters:
  ///   - aligned: of the inputs as they are now.
  ///   - sft: of the inputs as they are now.
  func requireSame(
    _ plan: Plan, aligned: [InputFingerprint], sft: [InputFingerprint], partial: String
  ) throws(Failure) {
    let changes = recipe.differences(from: plan.recipe)
    guard changes.isEmpty else {
      throw Failure(
        .cannotCreate,
        Problem(
          .recipeDiffers, "what is there was begun with another recipe: \(changes.joined(separator: "; "))", file: partial,
          remedy: "run the command as it was, or discard what is there and begin again with --restart"))
    }
    var problems: [Problem] = []
    for (side, folder, then, now) in [("aligned", self.aligned, alignedFiles, aligned), ("sft", self.sft, sftFiles, sft)] {
      let old = Dictionary(then.map { ($0.name, $0) }) { first, _ in first }
      let new = Dictionary(now.map { ($0.name, $0) }) { first, _ in first }
      for name in Set(old.keys).union(new.keys).sorted() where old[name] != new[name] {
        let what =
          old[name] == nil ? "is new" : new[name] == nil ? "is gone" : "is not what it was: its contents have changed"
        problems.append(
          Problem(
            .inputChanged, "\(side) \(what) since the merge was begun", file: "\(folder)/\(name)",
            remedy: "restore it, or discard what was merged and begin again with --restart"))
      }
    }
    if problems.isEmpty && self.plan != plan.fingerprint {
      problems = [
        Problem(
          .inputChanged, "the pair, or how this version of expomerge plans it, is not what it was when the merge was begun",
          file: partial, remedy: "use the version that began it, or begin again with --restart")
      ]
    }
    if !problems.isEmpty { throw Failure(.badData, problems) }
  }
}

extension Recipe {
  /// In words: what was, and what is.
  fileprivate func differences(from now: Recipe) -> [String] {
    var differences: [String] = []
    func compare<Value: Equatable>(_ name: String, _ then: Value, _ now: Value, _ text: (Value) -> String) {
      if then != now { differences.append("\(name) was \(text(then)) and is \(text(now))") }
    }
    compare("alpha", alphas, now.alphas) { $0.map { "\($0)" }.joined(separator: ", ") }
    if rules != now.rules { differences.append("the rules for alpha are others") }
    compare("arithmetic", arithmetic, now.arithmetic) { $0.rawValue }
    compare("dtype", dtype, now.dtype) { $0?.rawValue ?? "that of aligned" }
    compare("vocabulary", vocabulary, now.vocabulary) { $0.rawValue }
    compare("the largest file size", maxFileSize, now.maxFileSize) { "\($0)" }
    compare("the shard size", shardSize, now.shardSize) { "\($0)" }
    return differences
  }
}

extension Plan {
  /// Whether a result can be that of its shard: sums of what it counts must not overflow.
  func accepts(_ result: ShardResult) -> Bool {
    let expected = self.segments(of: shard(result.shard))
    guard result.digests.count == variants.count, result.segments.map(\.pair) == expected.map(\.pair) else { return false }
    return zip(result.segments, expected).allSatisfy { segment, place in
      let bytes = UInt64(place.output.count)
      let sums = segment.sums
      let counts = [sums.elements, sums.unchanged, sums.nonFiniteInputs] + ([sums.outputCounts] + segment.others).flatMap { [$0.nonFinite, $0.overflows] }
      return segment.differingBytes <= bytes && counts.allSatisfy { $0 <= bytes }
        && (segment.others.isEmpty || segment.others.count == variants.count - 1)
    }
  }
}

extension Problem.Code {
  public static let recipeDiffers = Self("recipe-differs")
}
