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
  /// - Returns: whether there was something to tidy up, and so OUTPUT is the new one and complete.
  static func finish(output path: FilePath, options: MergeJob.Options) throws(Failure) -> Bool {
    let (output, partial) = try OutputFolder.places(path)
    let state = output.appending(OutputFolder.stateName)
    let journal = state.appending(OutputFolder.journalName)
    guard try Directories.live.kind(of: journal) != nil else { return false }
    let lock = try FileLock.acquire(state.appending("lock"), holder: "process \(getpid()) on \(hostName)")
    // Else somebody has renamed the folder before it was complete, or has damaged it since.
    guard try isPublishing(journal, options.permissions), try isComplete(output) else { return false }
    try removeOld(output, partial)
    if options.sync == .full { try Directories.live.sync(output.removingLastComponent()) }
    try OutputFolder.removeState(of: output)
    _ = consume lock
    return true
  }

  /// Whether there are checkpoints, with manifests that can be read.
  private static func isComplete(_ output: FilePath) throws(Failure) -> Bool {
    let folders = try Manifest.folders(in: output)
    return !folders.isEmpty && folders.allSatisfy { (try? Manifest.read(from: $0)) != nil }
  }

  /// Whether a merge's journal says that its folder is about to get its name, or would say so if it could be read: what
  /// stands in its way is not worth to keep anybody from merging.
  private static func isPublishing(_ path: FilePath, _ permissions: OutputFolder.Permissions) throws(Failure) -> Bool {
    do throws(Failure) {
      let journal = try Journal.open(path)
      defer { journal.close() }
      return try journal.jobs().first?.state == .publishing
    } catch {
      switch error.problems[0].code {
      // A manifest tells as much: it is written when all shards are done.
      case .journalInvalid: return true
      case .journalNewer where permissions.overwrite: return false
      case .journalNewer:
        var failure = error
        failure.problems[0].remedy = "run that version, or replace the output with --overwrite"
        throw failure
      default: throw error
      }
    }
  }

  /// Tidies up after a job of a coordinator.
  ///
  /// - Returns: whether it had been published.
  static func finish(_ record: JobRecord, in journal: Journal, calls: SystemCalls) throws(Failure) -> Bool {
    let directories = Directories(calls: calls)
    guard record.state == .publishing, let options = MergeJob.Options(stored: record.options) else { return false }
    let (output, partial) = try OutputFolder.places(FilePath(record.output), directories)
    guard try directories.kind(of: partial.appending(OutputFolder.stateName)) == nil,
      try !Manifest.folders(in: output, directories).isEmpty
    else { return false }
    let shards = try journal.shards(of: record.number)
    let variants = Plan.variants(of: record.recipe)
    for (number, variant) in variants.enumerated() {
      let manifest = try Manifest.read(from: variant.folder(in: output), calls: calls)
      let digests = shards.compactMap { $0.digests.count == variants.count ? $0.digests[number] : nil }
      guard manifest.recipe == record.recipe.single(number), manifest.plan == record.plan || variants.count > 1,
        manifest.weights == Manifest.weightsDigest(of: digests)
      else { return false }
    }
    try removeOld(output, partial, directories)
    if options.sync == .full { try directories.sync(output.removingLastComponent()) }
    if try directories.kind(of: output.appending(OutputFolder.stateName)) != nil {
      try OutputFolder.removeState(of: output, directories)
    }
    try journal.setState(record.number, .complete, failure: nil)
    return true
  }

  /// Removes the output that was replaced: it is where the new one was made, or was moved away.
  private static func removeOld(_ output: FilePath, _ partial: FilePath, _ directories: Directories = .live) throws(Failure) {
    for old in [partial, OutputFolder.replaced(output)] where OutputFolder.isReplaced(old, by: output) {
      try directories.removeTree(old)
    }
  }
}
