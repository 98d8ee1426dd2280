import Diagnostics
import Synchronization
public import Worker

/// How far a long piece of work has come. Written by many threads, read by one that shows it.
public final class Progress: Sendable {
  public enum Phase: String, Sendable, Codable {
    case preparing, merging, syncing, checksums, verifying, recomputing, sampling, diagnosing
  }

  /// Shards.
  public struct Resumed: Sendable, Equatable {
    public let done: Int
    public let total: Int
  }

  public struct Snapshot: Sendable, Equatable {
    public var phase: Phase
    /// Bytes.
    public var done: Int
    public var total: Int
    /// The file that was worked on last.
    public var file: String
    /// What an earlier run had done, where this one goes on with it.
    public var resumed: Resumed?

    public init(phase: Phase, done: Int, total: Int, file: String) {
      self.phase = phase
      self.done = done
      self.total = total
      self.file = file
    }
  }

  private struct State {
    var phase = Phase.preparing
    var total = 0
    var file = ""
    var resumed: Resumed?
  }

  private let done = Atomic(0)
  private let state = Mutex(State())

  public init() {}

  public func begin(_ phase: Phase, total: Int) {
    done.store(0, ordering: .relaxed)
    state.withLock { $0 = State(phase: phase, total: total, file: "", resumed: $0.resumed) }
  }

  func goesOn(from done: Int, of total: Int) { state.withLock { $0.resumed = Resumed(done: done, total: total) } }

  public func add(_ bytes: Int) { done.wrappingAdd(bytes, ordering: .relaxed) }
  func workingOn(_ file: String) { state.withLock { $0.file = file } }

  public var snapshot: Snapshot {
    let done = done.load(ordering: .relaxed)
    return state.withLock { state in
      var snapshot = Snapshot(phase: state.phase, done: done, total: state.total, file: state.file)
      snapshot.resumed = state.resumed
      return snapshot
    }
  }
}

/// What a long piece of work is given from outside: threads, a way to stop it, and someone to tell.
public struct RunContext: Sendable {
  public var threads: Int
  public var readMethod: ReadMethod?
  public let cancellation: Cancellation
  public let progress: Progress
  /// Called ten times a second while threads work.
  public var tick: @Sendable (Progress.Snapshot) -> Void

  public init(
    threads: Int, readMethod: ReadMethod? = nil, cancellation: Cancellation = Cancellation(),
    progress: Progress = Progress(), tick: @escaping @Sendable (Progress.Snapshot) -> Void = { _ in }
  ) {
    self.threads = threads
    self.readMethod = readMethod
    self.cancellation = cancellation
    self.progress = progress
    self.tick = tick
  }

  func run(_ count: Int, body: @escaping @Sendable (WorkQueue) throws(Failure) -> Void) throws(Failure) {
    let queue = WorkQueue(count: count, cancellation: cancellation)
    try queue.run(threads: threads, tick: { tick(progress.snapshot) }, body: body)
  }
}
