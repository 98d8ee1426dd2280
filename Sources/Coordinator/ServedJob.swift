import Diagnostics
import Journal
import Planning
import Scheduling
import Wire

/// A job as the coordinator keeps it.
struct ServedJob {
  let id: JobID
  var aligned: String
  var sft: String
  let output: String
  var alphas: [Double]
  let priority: Int
  var isVerification = false
  let context: RunContext
  let startedAt: Instant
  let completion: @Sendable (Result<MergeJob.Outcome, Failure>) -> Void
  var state = Status.JobState.preparing
  var merge: PreparedMerge?
  /// Where the job is one that proves a merge.
  var verification: PreparedVerification?
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
  /// Of a job that an earlier life completed: as many shards as the journal has of it.
  var shardsDone: Int?
  var retries = 0
  /// How often files could not be made durable.
  var lostSyncs = 0
  /// What waits until the job that is over has let go of its output; nil where nothing is held.
  var afterClosing: [@Sendable () -> Void]?
  /// Whether it waits for inputs and folders that are not there: one that an earlier life had begun.
  var isPatient = false
  /// When preparing it is tried again; nil unless it waits.
  var retryAt: Instant?
  /// As the journal has it, once it has.
  var record: JobRecord?
}

extension ServedJob {
  var kind: Status.Job.Kind { isVerification ? .verify : .merge }
  /// Whether it has come further than being asked for.
  var hasBegun: Bool { runningSince != nil || record != nil }
  /// What is being computed, while it is.
  var source: JobSource? { merge?.source ?? verification?.source }

  /// A job of an earlier life.
  init(_ record: JobRecord, context: RunContext, startedAt: Instant) {
    self.init(
      id: JobID(record.number), aligned: record.aligned, sft: record.sft, output: record.output,
      alphas: record.recipe.alphas, priority: record.priority, context: context, startedAt: startedAt
    ) { _ in }
    self.record = record
  }
}

extension Status.JobState {
  /// Of a job that is over.
  init(_ state: JobRecord.State) {
    switch state {
    case .running: self = .running
    case .publishing: self = .finishing
    case .complete: self = .complete
    case .failed: self = .failed
    case .cancelled: self = .cancelled
    }
  }
}

extension JobRecord.State {
  /// Of a job that is over.
  init(_ state: Status.JobState) {
    switch state {
    case .complete: self = .complete
    case .cancelled: self = .cancelled
    case .preparing, .running, .finishing, .failed: self = .failed
    }
  }
}
