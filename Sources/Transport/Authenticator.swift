public import Keys
public import Logging
import Threads
public import ZeroMQ

/// Answers libzmq's questions who may connect to the server sockets of its context: the ZAP handler. Runs on the loop
/// that these sockets live on.
///
/// It must be open before any of them is bound, and as long as they are: while it is not, they let nobody in.
public actor Authenticator {
  /// What server sockets ask in the name of.
  public static let domain = "expomerge"

  nonisolated let loop: EventLoop
  public nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

  private let context: Context
  private let logger: Logger
  private var socket: Socket?
  private var watch: EventLoop.Watch?
  private var log = RefusalLog()

  /// Who is let in. To take a key away does not end connections that are there.
  public private(set) var keys: AuthorizedKeys
  /// Peers that were let in.
  public private(set) var admitted = 0
  /// Peers that were not, by reason.
  public private(set) var refused: [String: Int] = [:]

  public init(_ keys: AuthorizedKeys, context: Context, loop: EventLoop, logger: Logger) {
    self.keys = keys
    self.context = context
    self.loop = loop
    self.logger = logger
  }

  /// - Returns: the error where the context has a handler already.
  public func open() -> ZeroMQError? {
    do throws(ZeroMQError) {
      let socket = try Socket(.router, in: context, [.linger(0), .maxMessageSize(4096)])
      try socket.bind(ZAPRequest.endpoint)
      watch = loop.watch(socket) { [weak self] in self?.assumeIsolated { $0.answer() } }
      self.socket = socket
      return nil
    } catch {
      return error
    }
  }

  public func close() {
    if let watch { loop.end(watch) }
    (watch, socket) = (nil, nil)
  }

  public func authorize(_ keys: AuthorizedKeys) {
    self.keys = keys
  }

  private func answer() {
    var left = 256
    while left > 0, let (parts, wasCut) = try? socket?.receive(partLimit: ZAPRequest.partLimit) {
      left -= 1
      switch ZAPRequest.read(parts, wasCut: wasCut) {
      case .unanswerable: count(.malformed)
      case .malformed(let answering):
        count(.malformed)
        send(.malformed, answering)
      case .request(let request, let answering): send(judge(request), answering)
      }
    }
  }

  private func judge(_ request: ZAPRequest) -> ZAPReply {
    switch request.judged(by: keys, domain: Self.domain) {
    case .success(let entry):
      admitted += 1
      logger.debug("\(entry.name) (key \(entry.key)) connects from \(request.address)")
      return .admitted(entry.key.fingerprint)
    case .failure(let refusal):
      count(refusal.reason)
      let key = refusal.key.map { "key \($0), \($0.z85)," } ?? "a peer without a key"
      if log.shouldTell("\(request.address) \(key)", at: bootNanoseconds()) {
        logger.warning(
          "not let in: \(key) from \(request.address): \(refusal.reason.rawValue); told once a minute")
      }
      return .refused
    }
  }

  private func count(_ reason: ZAPRequest.Refusal) {
    refused[reason.rawValue, default: 0] += 1
  }

  private func send(_ reply: ZAPReply, _ answering: ZAPRequest.Answering) {
    // Whoever has gone meanwhile needs no answer.
    do { _ = try socket?.send(reply.frames(answering)) } catch { logger.error("cannot answer for a peer's key: \(error)") }
  }
}
