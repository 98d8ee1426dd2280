import CZeroMQ

/// What happens to the connections of a socket; zmq_socket_monitor(3).
public struct ConnectionEvent: Sendable, Equatable {
  public enum Kind: Sendable, Equatable {
    case connected
    case handshakeSucceeded
    /// The peer hung up before, or did not speak ZMTP.
    case handshakeFailed
    /// The peer's key was not accepted, or no key was given where one is needed.
    case authenticationFailed
    case disconnected
    /// Refused or unreachable; it is tried again.
    case retrying
    case listening
    case accepted
    case other(Int32)
  }

  public let kind: Kind
  /// Of the peer or of the socket, as libzmq gives it.
  public let endpoint: String
  /// What libzmq tells with it: of a connection that was accepted, the descriptor.
  public let value: Int32

  init(code: Int32, value: Int32, endpoint: String) {
    self.value = value
    self.endpoint = endpoint
    kind =
      switch code {
      case ZMQ_EVENT_CONNECTED: .connected
      case ZMQ_EVENT_HANDSHAKE_SUCCEEDED: .handshakeSucceeded
      case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL, ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL: .handshakeFailed
      case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH: .authenticationFailed
      case ZMQ_EVENT_DISCONNECTED: .disconnected
      case ZMQ_EVENT_CONNECT_RETRIED: .retrying
      case ZMQ_EVENT_LISTENING: .listening
      case ZMQ_EVENT_ACCEPTED: .accepted
      default: .other(code)
      }
  }
}

/// Receives the events of one socket.
public final class SocketMonitor {
  public let socket: Socket
  private let monitored: Socket

  /// - Parameters:
  ///   - name: unique in the context.
  ///   - onlyAccepted: tells of connections that were accepted, and of nothing else.
  public init(_ monitored: Socket, in context: Context, name: String, onlyAccepted: Bool = false) throws(ZeroMQError) {
    let endpoint = "inproc://monitor-\(name)"
    guard zmq_socket_monitor(monitored.handle, endpoint, onlyAccepted ? ZMQ_EVENT_ACCEPTED : ZMQ_EVENT_ALL) == 0 else {
      throw ZeroMQError("zmq_socket_monitor")
    }
    self.monitored = monitored
    // Without a mark, as all connections of libzmq's thread would wait with an event for which there is no room.
    socket = try Socket(.pair, in: context, [.linger(0), .receiveHighWaterMark(0)])
    try socket.connect(endpoint)
  }

  deinit {
    // First, as libzmq waits for ever to tell an event to a monitor that is gone.
    zmq_socket_monitor(monitored.handle, nil, 0)
  }

  /// The next event; nil when there is none now.
  public func next() throws(ZeroMQError) -> ConnectionEvent? {
    guard let (parts, _) = try socket.receive(partLimit: 2), parts.count == 2, parts[0].count == 6 else { return nil }
    let (code, value) = parts[0].withBytes {
      (Int32($0.loadUnaligned(as: UInt16.self)), $0.loadUnaligned(fromByteOffset: 2, as: Int32.self))
    }
    return ConnectionEvent(code: code, value: value, endpoint: String(decoding: parts[1].bytes, as: UTF8.self))
  }
}
