@testable import Coordinator
import Diagnostics
import Dispatch
import FileIO
import Glibc
import Journal
import SystemPackage
import Testing
import Transport
import Wire
import ZeroMQ

/// One life of a coordinator in this process, without workers.
final class CoordinatorLife {
  let service: CoordinatorService
  let endpoint: Endpoint
  let client: Client
  private let journal: Journal
  /// Until it has ended.
  private var state: StateFolder?
  private let loop = EventLoop(name: "test")

  init(
    at folder: FilePath, calls: SystemCalls = .live, _ configure: (inout CoordinatorService.Configuration) -> Void = { _ in }
  ) throws {
    let state = try Self.open(folder)
    journal = state.journal
    var configuration = CoordinatorService.Configuration()
    configuration.epoch = state.epoch
    configuration.journal = state.journal
    configuration.nextJob = try state.journal.nextJobNumber()
    configuration.calls = calls
    configuration.context = RunContext(threads: 1)
    configuration.retryMilliseconds = 20
    configure(&configuration)
    service = CoordinatorService(configuration, context: Context(), loop: loop, logger: .init(label: "test"))
    service.takeUp(try state.journal.jobs())
    let any = try Endpoint("tcp://127.0.0.1:0")
    endpoint = try #require(try service.listen([.init(control: any, data: any)]).first).control
    client = try Client(endpoint)
    self.state = consume state
  }

  /// Processes that other tests start share all files for a moment, between fork(2) and execve(2), and so the lock of an
  /// earlier life.
  private static func open(_ folder: FilePath, patience: Int = 1000) throws(Failure) -> StateFolder {
    do throws(Failure) {
      return try StateFolder.open(folder)
    } catch {
      guard error.problems[0].code == .locked, patience > 0 else { throw error }
    }
    usleep(10_000)
    return try open(folder, patience: patience - 1)
  }

  /// What the journal has.
  func records() throws -> [JobRecord] { try journal.jobs() }

  func setOptions(_ options: String) throws { try journal.setOptions(1, options) }

  func status() throws -> Status.Job {
    guard case .status(let status) = try client.ask(.status(.init(job: JobID(1)))), let job = status.jobs.first else {
      throw Failure(.unavailable, Problem(.init("test"), "there is no status"))
    }
    return job
  }

  /// Waits until job 1 is as wanted.
  func wait(for what: String, until isSo: (Status.Job) -> Bool) throws -> Status.Job {
    let start = ContinuousClock.now
    while true {
      let status = try status()
      if isSo(status) { return status }
      if start.duration(to: .now) > .seconds(60) {
        Issue.record("waited in vain for \(what): \(status)")
        return status
      }
      usleep(5000)
    }
  }

  /// Ends as a crash would: nothing is said of it anywhere.
  func end() {
    service.stop()
    loop.stop()
    service.finishThreads()
    journal.close()
    state = nil
  }

  /// As SIGTERM ends one.
  ///
  /// - Returns: whether all threads have come back.
  func endInOrder() -> Bool {
    let ended = DispatchSemaphore(value: 0)
    service.end { _ in ended.signal() }
    #expect(ended.wait(timeout: .now() + 60) == .success)
    loop.stop()
    defer {
      journal.close()
      state = nil
    }
    return service.finishThreads()
  }
}
