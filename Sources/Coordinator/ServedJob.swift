import Diagnostics
import Planning
import Scheduling
import Wire

/// A job as the coordinator keeps it.
struct ServedJob {
  let id: JobID
  let aligned: String
  let sft: String
  let output: String
  let alpha: Double
  let priority: Int
  let context: RunContext
  let startedAt: Instant
  let completion: @Sendable (Result<MergeJob.Outcome, Failure>) -> Void
  var state = Status.JobState.preparing
  var merge: PreparedMerge?
  /// Set when somebody asked for it to end while it could not yet.
  var isCancelled = false
  /// All shards are done, but writes are still under way.
  var waitsForQuiet = false
  var meter = RateMeter()
  var runningSince: Instant?
  var endedAt: Instant?
  var failure: Failure?
  var warnings: [Problem] = []
  /// What the plan knows, once the merge itself is let go of.
  var files: [Status.Job.File] = []
  var bytes = 0
  var retries = 0
}
