public import Diagnostics
public import Digests
public import Wire

/// Where a peer's messages come from and answers go to: libzmq's routing id.
public struct Route: Sendable, Hashable {
  public let bytes: [UInt8]
  /// Who the peer has proved to be; nil where nobody has to.
  public let user: String?

  public init(_ bytes: [UInt8], user: String? = nil) {
    self.bytes = bytes
    self.user = user
  }
}

extension Problem.Code {
  public static let digestsDiffer = Self("digests-differ")
  public static let shardFailed = Self("shard-failed")
  public static let stalled = Self("stalled")
  public static let readBackDiffers = Self("read-back-differs")
  public static let sumFailed = Self("sum-failed")
  public static let illegalTransition = Self("illegal-transition")
}

extension Scheduler {
  public struct Configuration: Sendable {
    public var beatMilliseconds = 1000
    /// Of silence, after which a session and its leases are over.
    public var leaseMilliseconds = 5000
    /// Without progress of a running attempt, after which it is given to another worker as well.
    public var stallMilliseconds = 120_000
    /// Before a failed shard is tried again, doubling with each failure.
    public var backoffMilliseconds = 1000
    /// Workers that a shard may fail on before its job stops.
    public var failureLimit = 3
    /// Failures in a row after which a worker gets no work for a while.
    public var setAsideAfter = 3
    public var setAsideMilliseconds = 30_000
    /// Age below which no running shard is given to a second worker.
    public var speculationMilliseconds = 2000
    /// Between two offers of a job that was not answered.
    public var offerMilliseconds = 5000
    /// The same of a job that was refused for a reason that may pass.
    public var secondLookMilliseconds = 30_000
    /// After a start until a resumed job may be published: workers of an earlier life have stopped by then.
    public var resumeMilliseconds = 6250
    /// Shards that the coordinator reads back itself at a time, where no worker can.
    public var checkLimit = 2
    /// Where workers stream slices; for the welcome.
    public var dataPort = 0
    public var window = 32 << 20
    /// Workers at a time, and those of them that have the same key: whoever has one can say hello without end.
    public var sessionLimit = 1024
    public var keySessionLimit = 768

    public init() {}

    /// Leases that a worker may have to do with: more than its slots, as what comes next is to be there before it is needed.
    func leases(slots: Int) -> Int { slots + max(2, slots / 2) }

    /// Results of a worker that may wait for the journal while it is granted more. A disk that is busy with the output
    /// syncs late, for as long as several shards take.
    func results(slots: Int) -> Int { min(2 * leases(slots: slots), Limits.leases - leases(slots: slots)) }
  }

  /// What a scheduler must know of a job.
  public struct JobSpecification: Sendable {
    /// Consecutive shards of one output file that read the same input files.
    public struct Stretch: Sendable, Equatable {
      public let shards: Range<Int>
      public let inputs: [WorkerMessage.Failed.Input]

      public init(shards: Range<Int>, inputs: [WorkerMessage.Failed.Input]) {
        self.shards = shards
        self.inputs = inputs
      }
    }

    public var offer: CoordinatorMessage.JobOffer
    public var priority: Int
    /// Of all shards, in order and without gaps.
    public var stretches: [Stretch]
    /// Shards that are finished and in the output.
    public var done: [Int: Digest128]
    /// Shards that an earlier life of the coordinator has finished. They are read back before they count.
    public var unchecked: [Int: Digest128]
    /// Whether workers of an earlier life may still be at it.
    public var isResumed: Bool
    /// Output files whose SHA-256 is wanted once all shards are done; 0 for none.
    public var sums: Int
    /// Shards that are computed again though they were read back, whatever that has shown: the job proves an output and
    /// writes none. nil for a merge.
    public var proved: Set<Int>?
    /// Attempts are counted from here: those of a job that is added again must be others.
    public var attemptsBefore: Int

    public init(
      offer: CoordinatorMessage.JobOffer, priority: Int = 0, stretches: [Stretch], done: [Int: Digest128] = [:],
      unchecked: [Int: Digest128] = [:], isResumed: Bool = false, sums: Int = 0, proved: Set<Int>? = nil,
      attemptsBefore: Int = 0
    ) {
      self.offer = offer
      self.priority = priority
      self.stretches = stretches
      self.done = done
      self.unchecked = unchecked
      self.isResumed = isResumed
      self.sums = sums
      self.proved = proved
      self.attemptsBefore = attemptsBefore
    }

    var shardCount: Int { stretches.last?.shards.upperBound ?? 0 }
  }

  public enum Event: Sendable {
    case received(WorkerEnvelope, from: Route)
    /// Time has passed; several times a second.
    case tick
    case add(JobSpecification)
    case cancel(JobID)
    /// The result of `Command.commit` is safe; that of `Command.check` is what was received.
    case committed(Attempt)
    /// The result is not what was received, or cannot be kept.
    case refused(Attempt, Problem)
    /// The answer to `Command.verify`.
    case verified(JobID, shard: Int, matches: Bool)
    /// The answer to `Command.sum`; nil where the file cannot be read.
    case summed(JobID, file: Int, sha256: String?)
    case drain(SessionID)
    /// These users may not work here any more.
    case expel(users: Set<String>)
    /// No grants any more: the coordinator is about to end.
    case stopGranting
  }

  public enum Command: Sendable, Equatable {
    case send(CoordinatorEnvelope, to: Route)
    /// Check the result and make it safe, then tell.
    case commit(WorkerMessage.Finished, from: SessionID)
    /// Check the result of a shard that is done already, and tell; it is not kept.
    case check(WorkerMessage.Finished, from: SessionID)
    /// Read the shard back and compare its digest: another worker may have written to it since.
    case verify(JobID, shard: Int, expected: Digest128)
    /// A shard that was done before was read back. If it is not what it should be, a merge computes it again.
    case checked(JobID, shard: Int, matches: Bool)
    /// Read an output file for its SHA-256, as no worker can.
    case sum(JobID, file: Int)
    /// The SHA-256 of an output file is known.
    case summed(JobID, file: Int, sha256: String)
    /// Leases that are over. What they streamed is of no use any more.
    case leasesEnded([Attempt])
    /// All shards are done, and nobody writes to the output.
    case jobDone(JobID)
    /// The job cannot go on. `jobStopped` follows.
    case jobFailing(JobID, Problem)
    /// Nobody writes to the output of the failed or cancelled job any more.
    case jobStopped(JobID)
    case note(Note)
  }

  /// Something that a log should have.
  public enum Note: Sendable, Equatable {
    case workerJoined(SessionID, name: String)
    case workerLost(SessionID, name: String, leases: Int)
    case workerLeft(SessionID, name: String, reason: String)
    /// Its key is not authorized any more. `workerLost` follows, when it has surely stopped.
    case workerExpelled(SessionID, name: String)
    case workerSetAside(SessionID, name: String, milliseconds: Int)
    case workerPrepared(SessionID, name: String, WorkerMessage.Prepared)
    case shardFailed(Attempt, name: String, Problem)
    case speculated(Attempt, name: String)
    /// All shards are done, and the output files are read for their SHA-256.
    case summing(JobID)
    case readBackDiffers(JobID, shard: Int, name: String)
    /// What an earlier life has journalled is not what the output holds; found by a worker, or by the coordinator itself.
    case outputDiffers(JobID, shard: Int, name: String?)
  }
}
