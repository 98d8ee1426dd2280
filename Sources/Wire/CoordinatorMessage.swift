public import Digests
public import Planning

/// What a coordinator says to a worker (docs/protocol.md).
public enum CoordinatorMessage: Sendable, Equatable {
  case welcome(Welcome)
  case rejected(Rejected)
  case job(JobOffer)
  case forget(Forget)
  /// Shards to compute.
  case grant(Leases)
  /// Shards that were done before: the worker reads back what the output holds, and reports its digest.
  case check(Leases)
  /// Output files to read for their SHA-256. They are numbered behind the shards.
  case sum(Leases)
  /// Results that are safe; the worker forgets them.
  case acknowledge(Leases)
  /// Leases that are over; the worker stops and forgets them.
  case revoke(Leases)
  case drain(Drain)
  case beat(Beat)

  public struct Welcome: Sendable, Equatable, Codable {
    /// Between two beats, each way.
    public var beatMilliseconds: Int
    /// A session is over when nothing was heard for so long. The worker stops writing so long after it sent the last
    /// beat that was answered.
    public var leaseMilliseconds: Int
    /// Where slices are streamed, on the coordinator's host.
    public var dataPort: Int
    /// Bytes of streamed output that may be under way without having been acknowledged.
    public var window: Int

    public init(beatMilliseconds: Int, leaseMilliseconds: Int, dataPort: Int, window: Int) {
      self.beatMilliseconds = beatMilliseconds
      self.leaseMilliseconds = leaseMilliseconds
      self.dataPort = dataPort
      self.window = window
    }
  }

  public struct Rejected: Sendable, Equatable, Codable {
    public enum Reason: String, Sendable, Codable {
      /// The worker speaks another version of the protocol. It must not come back as it is.
      case version
      /// The session is over, or of another life of the coordinator. The worker begins a new one.
      case session
      /// The worker's key may not work here, or not any more. It may try again later.
      case key
    }

    public var reason: Reason
    public var message: String

    public init(_ reason: Reason, _ message: String) {
      self.reason = reason
      self.message = message
    }
  }

  /// A job that the worker is asked to look at.
  public struct JobOffer: Sendable, Equatable, Codable {
    public struct Input: Sendable, Equatable, Codable {
      /// As the coordinator sees it.
      public var folder: String
      public var files: [InputFingerprint]

      public init(folder: String, files: [InputFingerprint]) {
        self.folder = folder
        self.files = files
      }
    }

    public struct Output: Sendable, Equatable, Codable {
      /// Where the files are made, as the coordinator sees it.
      public var folder: String
      /// A file in it with `nonce` as its contents: who reads them back has found the folder.
      public var nonceFile: String
      public var nonce: String

      public init(folder: String, nonceFile: String, nonce: String) {
        self.folder = folder
        self.nonceFile = nonceFile
        self.nonce = nonce
      }
    }

    public enum Purpose: String, Sendable, Codable {
      case merge
      /// The output is there: it is read, and shards are computed for their digest alone. The nonce is the XXH3-128 of
      /// the nonce file.
      case verify
    }

    public var job: JobID
    public var purpose: Purpose
    /// Of the plan.
    public var plan: Digest128
    /// Bytes of the description, which is fetched over the data socket.
    public var descriptionBytes: Int
    public var aligned: Input
    public var sft: Input
    public var output: Output

    public init(
      job: JobID, purpose: Purpose = .merge, plan: Digest128, descriptionBytes: Int, aligned: Input, sft: Input,
      output: Output
    ) {
      self.job = job
      self.purpose = purpose
      self.plan = plan
      self.descriptionBytes = descriptionBytes
      self.aligned = aligned
      self.sft = sft
      self.output = output
    }

    public subscript(side: Side) -> Input { side == .aligned ? aligned : sft }
  }

  public struct Forget: Sendable, Equatable, Codable {
    public var job: JobID

    public init(job: JobID) {
      self.job = job
    }
  }

  public struct Leases: Sendable, Equatable, Codable {
    public var leases: [Attempt]

    public init(_ leases: [Attempt]) {
      self.leases = leases
    }
  }

  public struct Drain: Sendable, Equatable, Codable {
    public init() {}
  }

  public struct Beat: Sendable, Equatable, Codable {
    public init() {}
  }
}

/// A message of a coordinator with what every one carries.
public struct CoordinatorEnvelope: Sendable, Equatable {
  public var session: SessionID
  /// Of the coordinator's life.
  public var epoch: Int
  /// Counts the messages of a session. A worker ignores what is not above all that it has seen.
  public var seq: Int
  /// The number of the worker's latest beat that has arrived.
  public var heard: Int
  public var message: CoordinatorMessage

  public init(session: SessionID, epoch: Int, seq: Int, heard: Int, message: CoordinatorMessage) {
    self.session = session
    self.epoch = epoch
    self.seq = seq
    self.heard = heard
    self.message = message
  }
}
