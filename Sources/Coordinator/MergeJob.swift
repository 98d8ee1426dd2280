public import Diagnostics
import Dispatch
public import FileIO
public import Logging
public import Planning
import Scheduling
import Synchronization
public import SystemPackage
public import Transport
import Wire
import Worker
import ZeroMQ

/// One merge from a plan to a published folder: a coordinator and a worker in this process, and workers elsewhere that
/// join.
public struct MergeJob: Sendable {
  public enum Sync: String, Sendable, CaseIterable {
    /// Everything is on the disk before the folder gets its name.
    case full
    /// The system writes when it likes, as after cp.
    case none
  }

  public struct Options: Sendable {
    public var sync = Sync.full
    public var sha256 = false
    public var permissions = OutputFolder.Permissions()
    /// Files that were on the disk before a merge was interrupted are not read back.
    public var trustsSynced = false
    /// For the model card.
    public var command = ""

    public init() {}
  }

  /// Who works on it besides this process, and how.
  public struct Company: Sendable {
    /// Where workers of other nodes may join.
    public var listen: Endpoint?
    public var listenData: Endpoint?
    /// Whom they are let in by; nil where nobody needs a key.
    public var security: CoordinatorSecurity?
    /// Bytes of output a second that this process computes; nil for no limit.
    public var rateLimit: Int?
    public var logger = Logger(label: "merge") { _ in SwiftLogNoOpLogHandler() }

    public init() {}
  }

  public struct Outcome: Sendable {
    public let output: FilePath
    /// Of each variant.
    public let manifests: [Manifest]
    /// Of the first variant.
    public let statistics: MergeStatistics
    public let warnings: [Problem]
    /// Shards that an earlier run had done.
    public let resumed: Int
    /// Of these, what was not in the output any more.
    public let redone: Int
    /// Whether all had been done before, and nothing was left to do.
    public var wasComplete = false
  }

  private let plan: Plan
  private let output: FilePath
  private let options: Options
  private let context: RunContext
  private let company: Company
  private let calls: SystemCalls

  public init(
    plan: Plan, output: FilePath, options: Options = Options(), context: RunContext, company: Company = Company(),
    calls: SystemCalls = .live
  ) {
    self.calls = calls
    self.plan = plan
    self.output = output
    self.options = options
    self.context = context
    self.company = company
  }

  /// Merges. Nothing is called OUTPUT before it is complete. Where it is there already, and is what this merge would
  /// make, nothing is done.
  ///
  /// - Throws: `interrupted` after a cancellation; `OUTPUT.partial` is then left.
  public func run() throws(Failure) -> Outcome {
    context.progress.begin(.preparing, total: 0)
    let wasPublished = try InterruptedPublication.finish(output: output, options: options)
    if wasPublished || !options.permissions.overwrite,
      let outcome = try CompleteOutput.find(plan, output: output, options: options)
    {
      return outcome
    }
    let network = Context()
    let loop = EventLoop(name: "expomerge")
    defer { loop.stop() }
    let name = "merge-\(UInt64.random(in: 0...UInt64.max))"
    let inproc = try Endpoint("inproc://\(name)")
    var configuration = CoordinatorService.Configuration()
    configuration.epoch = 1
    configuration.calls = calls
    configuration.context = context
    configuration.security = company.security
    configuration.security?.admitsOwnProcess = true
    if company.listen == nil {
      // Alone, a failure comes again; others may do better.
      configuration.scheduling.failureLimit = 1
      // And a process that was stopped for a while has not lost itself.
      configuration.scheduling.leaseMilliseconds = 86_400_000
    }
    let coordinator = CoordinatorService(configuration, context: network, loop: loop, logger: company.logger)
    try coordinator.listen([.init(control: inproc, data: inproc.dataEndpoint)])
    if let listen = company.listen {
      for opened in try coordinator.listen([.init(control: listen, data: company.listenData ?? listen.dataEndpoint)]) {
        company.logger.info("listens at \(opened.control), data at \(opened.data)")
      }
    }

    let result = Mutex<Result<Outcome, Failure>?>(nil)
    let done = DispatchSemaphore(value: 0)
    let job = coordinator.submit(plan, output: output, options: options, hasCompany: company.listen != nil) { outcome in
      result.withLock { $0 = outcome }
      done.signal()
    }
    var workerConfiguration = WorkerService.Configuration(
      coordinator: inproc, name: hostName, slots: min(context.threads, Limits.slots), roots: Roots(["/"]),
      readMethod: context.readMethod, rateLimit: company.rateLimit, version: expomergeVersion)
    workerConfiguration.calls = calls
    workerConfiguration.startsWriteback = options.sync == .full
    let worker = WorkerService(
      workerConfiguration, context: network, loop: loop, logger: company.logger, plans: [plan]
    ) { _ in }
    worker.start()
    var isCancelling = false
    while done.wait(timeout: .now() + .milliseconds(100)) == .timedOut {
      context.tick(context.progress.snapshot)
      if context.cancellation.isCancelled && !isCancelling {
        isCancelling = true
        coordinator.cancel(job)
      }
    }
    context.tick(context.progress.snapshot)
    worker.stop()
    coordinator.stop()
    guard let outcome = result.withLock({ $0 }) else { preconditionFailure("it was signalled") }
    return try outcome.get()
  }
}
