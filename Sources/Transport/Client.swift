public import Diagnostics
import Keys
public import Wire
public import ZeroMQ

extension Problem.Code {
  public static let coordinatorUnreachable = Self("coordinator-unreachable")
  public static let keyRefused = Self("key-refused")
  public static let zeroMQ = Self("zeromq")
}

extension Failure {
  /// An error of libzmq.
  public init(_ error: ZeroMQError, category: Category = .unavailable, remedy: String? = nil) {
    self.init(category, Problem(.zeroMQ, error.description, remedy: remedy))
  }
}

/// Asks a coordinator and waits for its answers, one at a time: for commands.
public final class Client {
  private let socket: Socket
  /// Tells why nobody answers.
  private let monitor: SocketMonitor
  private var lastTrouble: ConnectionEvent.Kind?
  private let credentials: Credentials?
  private let endpoint: Endpoint
  private let timeout: Int
  private var request = 0

  /// - Parameters:
  ///   - credentials: nil for a coordinator without keys.
  ///   - timeout: milliseconds until an answer.
  public init(_ endpoint: Endpoint, credentials: Credentials? = nil, timeout: Int = 10_000) throws(Failure) {
    self.endpoint = endpoint
    self.credentials = credentials
    self.timeout = timeout
    do throws(ZeroMQError) {
      let context = Context()
      socket = try Socket(
        .dealer, in: context,
        SocketOptions.connecting(to: endpoint, maxMessageSize: SocketOptions.control, credentials: credentials))
      monitor = try SocketMonitor(socket, in: context, name: "client")
      try socket.connect(endpoint)
    } catch {
      throw Failure(error)
    }
  }

  /// - Throws: the coordinator's refusal, or `unavailable` when it does not answer.
  public func ask(_ question: ClientRequest) throws(Failure) -> ClientReply {
    let number = try send(question)
    guard let answer = try answer(to: [number], within: timeout) else { throw unreachable }
    return answer.reply
  }

  /// Asks what may take minutes to answer, and asks in between whether the same coordinator is still there.
  ///
  /// - Parameters:
  ///   - epoch: of the coordinator.
  ///   - patience: milliseconds that it may be away.
  public func ask(_ question: ClientRequest, of epoch: Int, patience: Int) throws(Failure) -> ClientReply {
    let number = try send(question)
    var silence = 0
    while silence < patience {
      if let (_, reply) = try answer(to: [number], within: 1000) { return reply }
      let probe = try send(.status(.init(job: nil)))
      guard let (answered, reply) = try answer(to: [number, probe], within: 1000) else {
        silence += 2000
        continue
      }
      if answered == number { return reply }
      silence = 0
      if case .status(let status) = reply, status.coordinator.epoch != epoch {
        throw Failure(
          .unavailable,
          Problem(
            .coordinatorUnreachable, "the coordinator at \(endpoint) has ended before it answered, and is there again",
            remedy: "see expomerge status whether it has the job, and ask again if not"))
      }
    }
    throw unreachable
  }

  private func send(_ question: ClientRequest) throws(Failure) -> Int {
    request += 1
    do throws(ZeroMQError) { _ = try socket.send([Frame(question.encoded(request: request))]) } catch { throw Failure(error) }
    return request
  }

  /// The next answer to one of some questions; nil where none comes in time.
  private func answer(to requests: [Int], within timeout: Int) throws(Failure) -> (request: Int, reply: ClientReply)? {
    if lastTrouble == .authenticationFailed { throw refused(.authenticationFailed) }
    do throws(ZeroMQError) {
      var left = timeout
      while left > 0 {
        // In short pieces, so that a signal ends the wait.
        let piece = min(left, 100)
        left -= piece
        try observe()
        if lastTrouble == .authenticationFailed { break }
        guard try socket.wait(milliseconds: piece), let (parts, _) = try socket.receive(partLimit: 1) else { continue }
        guard let answer = try? parts[0].withBytes({ try ClientReply.decode($0) }) else {
          return (
            request,
            .error(
              .init(
                Failure(
                  .unavailable,
                  Problem(
                    .coordinatorUnreachable, "the answer of \(endpoint) is not understood",
                    remedy: "run the same version of expomerge everywhere"))))
          )
        }
        // Others are answers to questions that were given up.
        if requests.contains(answer.request) { return (answer.request, answer.reply) }
      }
    } catch {
      throw Failure(error)
    }
    return nil
  }

  /// Learns what becomes of the connection. libzmq does not try again once a key was refused.
  private func observe() throws(ZeroMQError) {
    while let event = try monitor.next() {
      switch event.kind {
      case .handshakeFailed, .authenticationFailed: lastTrouble = event.kind
      case .handshakeSucceeded: lastTrouble = nil
      default: break
      }
    }
  }

  private var unreachable: Failure {
    if let lastTrouble { return refused(lastTrouble) }
    return Failure(
      .unavailable,
      Problem(
        .coordinatorUnreachable, "no coordinator answers at \(endpoint)",
        remedy: "check the address, and that expomerge coordinator runs there"))
  }

  /// Why the coordinator hung up, as far as it can be told from here.
  private func refused(_ trouble: ConnectionEvent.Kind) -> Failure {
    guard trouble == .authenticationFailed else {
      let hint =
        credentials == nil
        ? "it may want keys: give --keys and --server-key" : "check that it has keys, and that --server-key is its key"
      return Failure(
        .unavailable,
        Problem(.coordinatorUnreachable, "\(endpoint) hangs up before it has said anything", remedy: "check the address; \(hint)"))
    }
    return Failure(
      .notPermitted,
      Problem(
        .keyRefused, "\(endpoint) does not let you in (key \(credentials?.own.publicKey.fingerprint ?? "none"))",
        remedy: "have your NAME.key copied to the coordinator's --authorized folder"))
  }
}
