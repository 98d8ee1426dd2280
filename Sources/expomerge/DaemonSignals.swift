import Dispatch
import Glibc
import Logging

/// Signals of a daemon: the first SIGTERM or SIGINT drains, the second ends the process as usual. SIGHUP and SIGUSR1
/// are noted and do no harm.
final class DaemonSignals {
  private var sources: [any DispatchSourceSignal] = []

  init(logger: Logger, drain: @escaping @Sendable (_ reason: String) -> Void) {
    for (number, name) in [(SIGTERM, "SIGTERM"), (SIGINT, "SIGINT")] {
      handle(number) {
        signal(SIGTERM, SIG_DFL)
        signal(SIGINT, SIG_DFL)
        drain(name)
      }
    }
    for (number, name) in [(SIGHUP, "SIGHUP"), (SIGUSR1, "SIGUSR1")] {
      handle(number) { logger.info("\(name): nothing to do") }
    }
  }

  private func handle(_ number: Int32, _ body: @escaping @Sendable () -> Void) {
    signal(number, SIG_IGN)
    let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
    source.setEventHandler(handler: body)
    source.resume()
    sources.append(source)
  }
}
