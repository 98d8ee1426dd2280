import Diagnostics
import Digests
import FileIO
import Glibc
import Journal
import Planning
import SystemPackage
import Worker

/// Publishing that ended between the rename and the tidying after it.
enum InterruptedPublication {
  /// Tidies up after a merge of its own.
  ///
  /// - Returns: what it came to, if the output is what would be merged now; nil where there is nothing to go on with.
  static func finish(_ plan: Plan, output path: FilePath, options: MergeJob.Options) throws(Failure) -> MergeJob.Outcome? {
    let (output, partial) = try OutputFolder.places(path)
    let state = output.appending(OutputFolder.stateName)
    let journalPath = state.appending(OutputFolder.journalName)
    guard try Directories.live.kind(of: journalPath) != nil else { return nil }
    let lock = try FileLock.acquire(state.appending("lock"), holder: "process \(getpid()) on \(hostName)")
    let journal = try Journal.open(journalPath)
    var outcome: MergeJob.Outcome?
    do throws(Failure) {
      guard let record = try journal.jobs().first, record.state == .publishing else {
        // Somebody has renamed the folder before it was complete.
        journal.close()
        return nil
      }
      let manifest = try Manifest.read(from: output)
      if record.plan == plan.fingerprint, manifest.plan == plan.fingerprint, try record.isMade(of: plan) {
        let kept = MergeJournal(journal: journal, number: record.number, epoch: 0, isOwn: true)
        let results = try kept.results(plan)
        let statistics = MergeStatistics(results.keys.sorted().compactMap { results[$0] }, plan: plan)
        outcome = MergeJob.Outcome(
          output: output, manifest: manifest, statistics: statistics, warnings: [], resumed: plan.shardCount, redone: 0)
      }
      try removeOld(output, partial)
    } catch {
      journal.close()
      throw error
    }
    journal.close()
    if options.sync == .full { try Directories.live.sync(output.removingLastComponent()) }
    try OutputFolder.removeState(of: output)
    _ = consume lock
    return outcome
  }

  /// Tidies up after a job of a coordinator.
  ///
  /// - Returns: whether it had been published.
  static func finish(_ record: JobRecord, in journal: Journal, calls: SystemCalls) throws(Failure) -> Bool {
    let directories = Directories(calls: calls)
    guard record.state == .publishing, let options = MergeJob.Options(stored: record.options) else { return false }
    let (output, partial) = try OutputFolder.places(FilePath(record.output), directories)
    guard try directories.kind(of: partial.appending(OutputFolder.stateName)) == nil,
      try directories.kind(of: output.appending(Manifest.fileName)) != nil
    else { return false }
    let manifest = try Manifest.read(from: output, calls: calls)
    let shards = try journal.shards(of: record.number)
    guard manifest.plan == record.plan, manifest.weights == Manifest.weightsDigest(of: shards.map(\.digest)) else {
      return false
    }
    try removeOld(output, partial, directories)
    if options.sync == .full { try directories.sync(output.removingLastComponent()) }
    if try directories.kind(of: output.appending(OutputFolder.stateName)) != nil {
      try OutputFolder.removeState(of: output, directories)
    }
    try journal.setState(record.number, .complete, problem: nil)
    return true
  }

  /// Removes the output that was replaced: it is where the new one was made, or was moved away.
  private static func removeOld(_ output: FilePath, _ partial: FilePath, _ directories: Directories = .live) throws(Failure) {
    for old in [partial, OutputFolder.replaced(output)] where OutputFolder.isReplaced(old, by: output) {
      try directories.removeTree(old)
    }
  }
}

extension JobRecord {
  /// Whether the inputs of a plan, which is the same, are what they were.
  fileprivate func isMade(of plan: Plan) throws(Failure) -> Bool {
    let aligned = try InputFingerprint.all(plan.aligned, InputFiles(of: plan.aligned), plan: plan)
    let sft = try InputFingerprint.all(plan.sft, InputFiles(of: plan.sft), plan: plan)
    return alignedFiles == aligned && sftFiles == sft
  }
}
