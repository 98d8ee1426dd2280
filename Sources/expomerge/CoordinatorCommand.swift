import ArgumentParser
import CLinux
import Coordinator
import Diagnostics
import Logging
import FileIO
import Journal
import StatusServer
import SystemPackage
import Threads
import Transport
import Worker
import ZeroMQ

struct CoordinatorCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "coordinator", abstract: "Take on merges, and have workers on other nodes compute them.",
    discussion: """
      Runs until it is stopped. SIGTERM lets running shards and publishing end, for at most 30 seconds, and then ends \
      the process. Jobs that are not complete go on at the next start with the same --state.
      """)

  @Option(help: ArgumentHelp("Where workers and commands connect.", valueName: "address"))
  var listen = "tcp://127.0.0.1:\(Endpoint.defaultPort)"

  @Option(help: ArgumentHelp("Where slices are streamed. Default: the next port.", valueName: "address"))
  var listenData: String?

  @Option(help: ArgumentHelp("The folder for what outlives the process; made where it is missing.", valueName: "dir"), completion: .directory)
  var state: String

  @Option(
    name: .customLong("root"),
    help: ArgumentHelp("A folder that jobs may read from and write to, with all beneath it; may be repeated. Default: everything.", valueName: "dir"), completion: .directory)
  var roots: [String] = []

  @OptionGroup(title: "Keys") var access: ListenKeyOptions
  @OptionGroup(title: "Watching") var monitoring: MonitoringOptions
  @OptionGroup(title: "Running") var running: RunOptions
  @OptionGroup(title: "Logging") var log: LogOptions
  @OptionGroup(title: "Configuration") var configuration: ConfigurationOptions

  func run() throws {
    if configuration.checkConfig { return try Console.forDaemons.reporting { () throws(Failure) in try check(nil) } }
    linux_keep_freed_memory()
    try Console.forDaemons.reporting { () throws(Failure) in
      let control = try Endpoint(listen)
      let data = try control.dataEndpoint(listenData)
      let security = try access.security(listeningAt: control, command: "coordinator")
      let logger = log.logger("coordinator")
      let drain = Drain()
      let reports = ServiceReports()
      let reloading = Reloading()
      let settings = SettingsReload(logger: logger)
      Signals.take(logger: logger, reload: { reports.reload { reloading.request() } }) { drain.request($0) }
      let state = try StateFolder.open(FilePath(state))
      DescriptorLimit.warnings(needed: 1024).forEach { logger.warning("\($0)") }
      if !state.locksWork {
        logger.warning(
          "locks do nothing in \(self.state): a second coordinator on it would not be noticed; put it on a local filesystem")
      }
      var configuration = CoordinatorService.Configuration()
      configuration.security = security
      configuration.epoch = state.epoch
      configuration.journal = state.journal
      for root in roots { try Roots.check(FilePath(root)) }
      if !roots.isEmpty { configuration.calls = .live.confined(to: Confinement(roots.map { FilePath($0) })) }
      configuration.nextJob = try state.journal.nextJobNumber()
      let records = try state.journal.jobs()
      configuration.context = RunContext(threads: running.threadCount, readMethod: running.read.method)
      let loop = EventLoop(name: "coordinator")
      let service = CoordinatorService(
        configuration, context: Context(ioThreads: 2), loop: loop, logger: logger)
      let end = Monitor<Failure??>(nil)
      let ended: @Sendable (Failure?) -> Void = { failure in end.update { $0 = .some(failure) } }
      service.onFailure(ended)
      // Before anybody can ask for them.
      service.takeUp(records)
      let opened = try service.listen([.init(control: control, data: data)])
      for endpoint in opened {
        logger.info(
          "expomerge \(expomergeVersion) listens at \(endpoint.control), data at \(endpoint.data), epoch \(state.epoch)")
      }
      if !control.isLocal && security == nil { logger.warning("\(ListenKeyOptions.insecureWarning(control))") }
      let server = try monitoring.server(for: service, loop: loop)
      if let server { logger.info("shows itself at http://\(server.address)/") }
      defer { server?.stop() }
      reloading.serve {
        settings.read()
        logger.info("SIGHUP: reading the authorized keys again")
        service.reload()
      }
      reports.begin(on: loop) { service.assumeIsolated { $0.view().line } }
      drain.serve { reason in
        reports.end(reason)
        logger.info("ending (\(reason)): running shards may end first")
        service.end(ended)
      }
      let failure = end.wait { $0 }
      loop.stop()
      if !service.finishThreads() { logger.warning("a filesystem does not answer: what waits for it is given up") }
      state.journal.close()
      logger.info("ended")
      _ = consume state
      if let failure { throw failure }
    }
  }
}
