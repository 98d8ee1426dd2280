/// The JSON frame of a message on the data socket. A binary frame follows `chunk` and `store`.
public enum DataMessage: Sendable, Equatable {
  /// Worker: send me these bytes. Each asks for one chunk, so a worker is never sent more than it asked for.
  case fetch(Fetch)
  /// Coordinator: the bytes of a fetch.
  case chunk(Answer)
  /// Worker: bytes of a streamed shard, in order. At most `window` of them may be unanswered.
  case store(Store)
  /// Coordinator: they are written.
  case stored(Answer)
  /// Coordinator: a fetch or store that it could not do.
  case refused(Refused)

  public enum Source: String, Sendable, Codable {
    case aligned, sft
    /// The job's description; `file` is 0.
    case description
  }

  public struct Fetch: Sendable, Equatable, Codable {
    public var session: SessionID
    /// Comes back with the answer.
    public var tag: Int
    public var job: JobID
    public var source: Source
    public var file: Int
    public var offset: Int
    /// At most `Limits.chunkBytes`.
    public var count: Int

    public init(
      session: SessionID, tag: Int, job: JobID, source: Source, file: Int, offset: Int, count: Int
    ) {
      self.session = session
      self.tag = tag
      self.job = job
      self.source = source
      self.file = file
      self.offset = offset
      self.count = count
    }
  }

  public struct Store: Sendable, Equatable, Codable {
    public var session: SessionID
    public var tag: Int
    public var job: JobID
    public var shard: Int
    public var attempt: Int
    /// From the start of the shard.
    public var offset: Int

    public init(session: SessionID, tag: Int, attempt: Attempt, offset: Int) {
      self.session = session
      self.tag = tag
      job = attempt.job
      shard = attempt.shard
      self.attempt = attempt.attempt
      self.offset = offset
    }

    public var key: Attempt { Attempt(job: job, shard: shard, attempt: attempt) }
  }

  public struct Answer: Sendable, Equatable, Codable {
    public var tag: Int

    public init(tag: Int) {
      self.tag = tag
    }
  }

  public struct Refused: Sendable, Equatable, Codable {
    public var tag: Int
    public var problem: ProblemReport

    public init(tag: Int, problem: ProblemReport) {
      self.tag = tag
      self.problem = problem
    }
  }
}
