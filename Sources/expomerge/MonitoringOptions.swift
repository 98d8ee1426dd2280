public import ArgumentParser
import Coordinator
import Diagnostics
import Monitoring
public import StatusServer
import Synchronization
import Wire
import Worker
import ZeroMQ

/// Where a daemon shows itself over HTTP.
struct MonitoringOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Serve what is going on over HTTP at this address, as in 127.0.0.1:5780 or *:5780: for people, Prometheus and probes.",
      valueName: "address"))
  var http: StatusServer.Address?

  /// - Returns: nil where nobody asked for it.
  func server(for service: CoordinatorService, loop: EventLoop) throws(Failure) -> StatusServer? {
    guard let http else { return nil }
    let view: @Sendable () async -> CoordinatorView? = { await within(Self.patience) { await service.view() } }
    return try StatusServer(
      http,
      pages: [
        "/": { .init("text/html; charset=utf-8", bytes(of: StatusPage.html)) },
        "/page.css": { .init("text/css; charset=utf-8", bytes(of: StatusPage.style)) },
        "/page.js": { .init("text/javascript; charset=utf-8", bytes(of: StatusPage.script)) },
        "/api/view": { await view().map { .init(json: $0) } ?? Self.silence },
        "/api/jobs": { await view().map { .init(json: $0.status.jobs) } ?? Self.silence },
        "/api/workers": { await view().map { .init(json: $0.status.workers) } ?? Self.silence },
        "/metrics": { await view().map { .init(metrics: $0.metrics(ProcessFigures())) } ?? Self.silence },
        "/healthz": { await Self.health(of: loop) },
        "/readyz": { await view()?.isReady == true ? .init(text: "ready\n") : .init(text: "not ready\n", status: 503) },
      ])
  }

  /// - Returns: nil where nobody asked for it.
  func server(for service: WorkerService, loop: EventLoop) throws(Failure) -> StatusServer? {
    guard let http else { return nil }
    let view: @Sendable () async -> WorkerView? = { await within(Self.patience) { await service.view() } }
    return try StatusServer(
      http,
      pages: [
        "/": { await view().map { .init(json: $0) } ?? Self.silence },
        "/metrics": { await view().map { .init(metrics: $0.metrics(ProcessFigures())) } ?? Self.silence },
        "/healthz": { await Self.health(of: loop) },
        "/readyz": {
          let view = await view()
          return view?.isConnected == true && view?.isDraining == false ? .init(text: "ready\n") : .init(text: "not ready\n", status: 503)
        },
      ])
  }

  /// Seconds for the event loop to answer.
  private static let patience = 5

  private static var silence: StatusServer.Content { .init(text: "the event loop does not answer\n", status: 503) }

  private static func health(of loop: EventLoop) async -> StatusServer.Content {
    let answer: Bool? = await within(patience) {
      await withCheckedContinuation { continuation in loop.perform { continuation.resume() } }
      return true
    }
    return answer == nil ? silence : .init(text: "ok\n")
  }
}

extension StatusServer.Address: ExpressibleByArgument {
  public init?(argument: String) { self.init(argument) }
}

extension StatusServer.Content {
  fileprivate init(metrics: String) { self.init(text: metrics, type: "text/plain; version=0.0.4; charset=utf-8") }
}

private func bytes(of text: StaticString) -> [UInt8] { text.withUTF8Buffer { Array($0) } }

/// What `work` gives, or nil where that takes longer. It is not waited for then.
private func within<Value: Sendable>(_ seconds: Int, _ work: @escaping @Sendable () async -> Value) async -> Value? {
  await withCheckedContinuation { continuation in
    let first = First(continuation)
    let timer = Task {
      try? await Task.sleep(for: .seconds(seconds))
      first.resume(nil)
    }
    Task {
      first.resume(await work())
      timer.cancel()
    }
  }
}

/// Of several that resume a continuation the first does.
private final class First<Value: Sendable>: Sendable {
  private let continuation: Mutex<CheckedContinuation<Value?, Never>?>

  init(_ continuation: CheckedContinuation<Value?, Never>) {
    self.continuation = Mutex(continuation)
  }

  func resume(_ value: Value?) {
    let continuation = continuation.withLock { $0.take() }
    continuation?.resume(returning: value)
  }
}
