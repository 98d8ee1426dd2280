public import Wire

/// What a coordinator shows of itself: what `expomerge status` tells, and what was of late.
public struct CoordinatorView: Sendable, Equatable, Codable {
  /// Something that happened.
  public struct Event: Sendable, Equatable, Codable {
    /// Milliseconds since 1970.
    public var at: Int
    /// As in the log: info, warning, error, critical.
    public var level: String
    public var job: JobID?
    public var text: String

    public init(at: Int, level: String, job: JobID?, text: String) {
      self.at = at
      self.level = level
      self.job = job
      self.text = text
    }
  }

  /// What was counted since the process started.
  public struct Totals: Sendable, Equatable, Codable {
    public var shards = 0
    public var bytes = 0
    /// Tries of shards that failed.
    public var failures = 0
    public var jobs: [String: Int] = [:]

    public init() {}
  }

  public var status: Status
  public var totals: Totals
  /// Bytes of output in stretches of `Throughput.stretch` seconds, the last one being the one that goes on.
  public var throughput: [Int]
  public var stretchSeconds = Throughput.stretch
  /// The newest first.
  public var events: [Event]
  /// Whether it takes on work; it does not while it ends.
  public var isReady: Bool

  public init(status: Status, totals: Totals, throughput: [Int], events: [Event], isReady: Bool) {
    self.status = status
    self.totals = totals
    self.throughput = throughput
    self.events = events
    self.isReady = isReady
  }
}

/// What a worker shows of itself.
public struct WorkerView: Sendable, Equatable, Codable {
  public var name: String
  public var host: String
  public var version: String
  public var coordinator: String
  /// Whether the coordinator was heard within the lease time.
  public var isConnected: Bool
  public var isDraining: Bool
  public var slots: Int
  /// Shards that are being computed.
  public var running: Int
  /// Shards that it holds besides.
  public var queued: Int
  /// Since the process started.
  public var shards: Int
  public var bytes: Int
  public var failures: Int
  public var uptimeSeconds: Double

  public init(
    name: String, host: String, version: String, coordinator: String, isConnected: Bool, isDraining: Bool, slots: Int, running: Int,
    queued: Int, shards: Int, bytes: Int, failures: Int, uptimeSeconds: Double
  ) {
    self.name = name
    self.host = host
    self.version = version
    self.coordinator = coordinator
    self.isConnected = isConnected
    self.isDraining = isDraining
    self.slots = slots
    self.running = running
    self.queued = queued
    self.shards = shards
    self.bytes = bytes
    self.failures = failures
    self.uptimeSeconds = uptimeSeconds
  }
}
