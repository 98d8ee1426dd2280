import ArgumentParser
import CLinux
import Coordinator
import Diagnostics
import Dispatch
import FileIO
import Logging
import Scheduling
import Synchronization
import StatusServer
import SystemPackage
import Threads
import Transport
import Wire
import Worker
import ZeroMQ

struct WorkerCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "worker", abstract: "Compute shards for a coordinator.",
    discussion: """
      Runs until it is stopped or drained, and finds its coordinator again whenever that was away. Files that it can \
      open under its --root folders, and that are the coordinator's by their contents, it reads and writes itself; \
      all others come and go over the network. SIGTERM finishes the shards that are being computed, gives back the \
      others, and ends.
      """)

  @Option(help: ArgumentHelp("The coordinator's address.", valueName: "address"))
  var coordinator: String

  @Option(name: .customLong("root"), help: ArgumentHelp("A folder that it may open files in; repeat it for more.", valueName: "dir"), completion: .directory)
  var roots: [String] = []

  @Option(
    name: .customLong("map"),
    help: ArgumentHelp("What the coordinator calls FROM is TO here; repeat it for more.", valueName: "from=to"))
  var maps: [String] = []

  @Option(help: ArgumentHelp("Shards computed at a time; one for each CPU by default.", valueName: "n"))
  var slots: Int?

  @Option(help: ArgumentHelp("What it is called in status and logs. Default: the host's name.", valueName: "name"))
  var name: String?

  @Option(help: ArgumentHelp("Bytes of output a second at most, as in 200MB.", valueName: "size"))
  var limitRate: ByteSize?

  @Option(
    help: ArgumentHelp("End after so many seconds without work, coordinator or none. Default: wait for ever.", valueName: "seconds"))
  var exitWhenIdle: Int?

  @Option(help: ArgumentHelp("How inputs are read: auto, mmap or pread.", valueName: "method"))
  var read = RunOptions.ReadChoice.auto

  @OptionGroup(title: "Watching") var monitoring: MonitoringOptions
  @OptionGroup(title: "Keys") var keys: ConnectKeyOptions
  @OptionGroup(title: "Logging") var log: LogOptions
  @OptionGroup(title: "Configuration") var configuration: ConfigurationOptions

  func validate() throws {
    if let slots, !(1...1024).contains(slots) { throw ValidationError("--slots must be from 1 to 1024.") }
    if let name, !(1...Limits.nameBytes).contains(name.utf8.count) || !isPrintable(name) {
      throw ValidationError("--name must have 1 to \(Limits.nameBytes) bytes, and no control characters.")
    }
    for map in maps where Self.mapping(map) == nil {
      throw ValidationError("--map \(map) is not FROM=TO with two absolute paths.")
    }
    if let exitWhenIdle, !(1...31_536_000).contains(exitWhenIdle) {
      throw ValidationError("--exit-when-idle must be from 1 to 31536000.")
    }
    if let limitRate, limitRate.bytes < 1 { throw ValidationError("--limit-rate must be at least 1.") }
  }

  private static func mapping(_ text: String) -> Roots.Mapping? {
    let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map { FilePath(String($0)) }
    guard parts.count == 2, parts[0].isAbsolute, parts[1].isAbsolute else { return nil }
    return Roots.Mapping(from: parts[0], to: parts[1])
  }

  private final class Rejection: Sendable {
    let reason = Mutex<String?>(nil)
  }

  func run() throws {
    if configuration.checkConfig { return try Console.forDaemons.reporting { () throws(Failure) in try check(nil) } }
    linux_keep_freed_memory()
    try Console.forDaemons.reporting { () throws(Failure) in
      let logger = log.logger("worker")
      let drain = Drain()
      let reports = ServiceReports()
      let settings = SettingsReload(logger: logger)
      Signals.take(logger: logger, reload: { reports.reload { settings.read() } }) { drain.request($0) }
      for root in roots { try Roots.check(FilePath(root)) }
      if roots.isEmpty { logger.info("no --root: everything is streamed") }
      var configuration = WorkerService.Configuration(
        coordinator: try Endpoint(coordinator), name: name ?? hostName, slots: slots ?? ThreadTeam.availableCPUs,
        roots: Roots(roots.map { FilePath($0) }, mappings: maps.compactMap(Self.mapping)), readMethod: read.method,
        rateLimit: limitRate?.bytes, version: expomergeVersion)
      configuration.idleSeconds = exitWhenIdle
      configuration.credentials = try keys.credentials()
      DescriptorLimit.warnings(needed: 256).forEach { logger.warning("\($0)") }
      let loop = EventLoop(name: "worker")
      let done = DispatchSemaphore(value: 0)
      let rejection = Rejection()
      let service = WorkerService(configuration, context: Context(), loop: loop, logger: logger) { ending in
        if case .rejected(let reason) = ending { rejection.reason.withLock { $0 = reason } }
        done.signal()
      }
      settings.take("limit-rate") { [service] value in
        let rate = value.map { ByteSize(argument: $0)?.bytes ?? 0 }
        guard rate.map({ $0 > 0 }) ?? true else { return false }
        service.changeRateLimit(to: rate)
        return true
      }
      let server = try monitoring.server(for: service, loop: loop)
      if let server { logger.info("shows itself at http://\(server.address)/") }
      defer { server?.stop() }
      service.start()
      let meter = LateRate()
      reports.begin(on: loop) {
        service.assumeIsolated { service in
          let view = service.view()
          return view.line(rate: meter.rate(of: view))
        }
      }
      drain.serve { reason in
        reports.end(reason)
        service.drain(reason: reason)
      }
      done.wait()
      loop.stop()
      if let reason = rejection.reason.withLock({ $0 }) {
        throw Failure(.unavailable, Problem(.init("worker-rejected"), "the coordinator rejects this worker: \(reason)"))
      }
    }
  }
}
