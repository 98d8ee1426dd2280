public import Diagnostics
public import Wire
public import ZeroMQ

extension Problem.Code {
  public static let coordinatorUnreachable = Self("coordinator-unreachable")
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
  private let endpoint: Endpoint
  private let timeout: Int
  private var request = 0

  /// - Parameter timeout: milliseconds until an answer.
  public init(_ endpoint: Endpoint, timeout: Int = 10_000) throws(Failure) {
    self.endpoint = endpoint
    self.timeout = timeout
    do throws(ZeroMQError) {
      socket = try Socket(
        .dealer, in: Context(), SocketOptions.connecting(to: endpoint, maxMessageSize: SocketOptions.control))
      try socket.connect(endpoint)
    } catch {
      throw Failure(error)
    }
  }

  /// - Parameter timeout: milliseconds, where it is not the usual one.
  /// - Throws: the coordinator's refusal, or `unavailable` when it does not answer.
  public func ask(_ question: ClientRequest, timeout: Int? = nil) throws(Failure) -> ClientReply {
    request += 1
    do throws(ZeroMQError) {
      _ = try socket.send([Frame(question.encoded(request: request))])
      var left = timeout ?? self.timeout
      while left > 0 {
        // In short pieces, so that a signal ends the wait.
        let piece = min(left, 100)
        left -= piece
        guard try socket.wait(milliseconds: piece), let (parts, _) = try socket.receive(partLimit: 1) else { continue }
        guard let answer = try? parts[0].withBytes({ try ClientReply.decode($0) }) else {
          return .error(
            .init(
              Failure(
                .unavailable,
                Problem(
                  .coordinatorUnreachable, "the answer of \(endpoint) is not understood",
                  remedy: "run the same version of expomerge everywhere"))))
        }
        // An answer to a question that was given up.
        guard answer.request == request else { continue }
        return answer.reply
      }
    } catch {
      throw Failure(error)
    }
    throw Failure(
      .unavailable,
      Problem(
        .coordinatorUnreachable, "no coordinator answers at \(endpoint)",
        remedy: "check the address, and that expomerge coordinator runs there"))
  }
}
