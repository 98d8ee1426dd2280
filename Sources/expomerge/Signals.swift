import Coordinator
import Dispatch
import Glibc

/// Turns the first SIGINT or SIGTERM into a cancellation; the second ends the process as usual.
final class Signals {
  private var sources: [any DispatchSourceSignal] = []

  init(cancelling cancellation: Cancellation) {
    for number in [SIGINT, SIGTERM] {
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler {
        cancellation.cancel()
        signal(number, SIG_DFL)
      }
      source.resume()
      sources.append(source)
    }
  }
}
