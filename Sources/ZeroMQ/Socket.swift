import CZeroMQ
import Glibc
public import Keys

/// A socket of libzmq, closed with the last reference. It belongs to one thread: it is not Sendable, so an actor that
/// keeps it keeps it on its executor (`EventLoop`).
public final class Socket {
  public enum Kind: Sendable {
    case router, dealer, pair

    var code: Int32 {
      switch self {
      case .router: ZMQ_ROUTER
      case .dealer: ZMQ_DEALER
      case .pair: ZMQ_PAIR
      }
    }
  }

  /// Options that are set before bind or connect; zmq_setsockopt(3).
  public enum Option: Sendable {
    /// Milliseconds that unsent messages are kept after closing.
    case linger(Int32)
    /// ROUTER: sending to a peer that is not there is an error instead of nothing.
    case routerMandatory
    /// Bytes of the largest frame that is taken; a peer that sends a larger one is disconnected.
    case maxMessageSize(Int64)
    /// Messages queued for one peer; 0 for no limit.
    case sendHighWaterMark(Int32)
    case receiveHighWaterMark(Int32)
    /// Milliseconds for a peer to finish its handshake.
    case handshakeInterval(Int32)
    /// Milliseconds between attempts to connect, doubling up to `most`.
    case reconnectInterval(Int32, most: Int32)
    /// Seconds of silence after which TCP asks whether the peer's machine is still there, and gives up after 15 more; and
    /// milliseconds that sent bytes may go unacknowledged.
    case tcpTimeouts(idleSeconds: Int32, unacknowledgedMilliseconds: Int32)
    /// Bytes that the kernel takes for a peer before they have arrived; 0 lets it choose. For what is bound or connected later.
    case kernelSendBuffer(Int32)
    /// Queues messages for complete connections only.
    case immediate
    /// IPv6 as well as IPv4.
    case ipv6
    /// CURVE, the side that listens.
    case curveServer(SecretKey)
    /// CURVE, the side that connects: whom it wants to talk to, and who it is.
    case curveClient(server: PublicKey, own: SecretKey)
    /// The name that a ZAP handler is asked about; enforced, so that without a handler nobody enters.
    case zapDomain(String)
  }

  let handle: UnsafeMutableRawPointer
  private let context: Context

  public init(_ kind: Kind, in context: Context, _ options: [Option] = []) throws(ZeroMQError) {
    guard let handle = zmq_socket(context.handle, kind.code) else { throw ZeroMQError("zmq_socket") }
    self.handle = handle
    self.context = context
    for option in options { try set(option) }
  }

  deinit {
    zmq_close(handle)
    withExtendedLifetime(context) {}
  }

  // MARK: options

  public func set(_ option: Option) throws(ZeroMQError) {
    switch option {
    case .linger(let time): try set(ZMQ_LINGER, time)
    case .routerMandatory: try set(ZMQ_ROUTER_MANDATORY, Int32(1))
    case .maxMessageSize(let size): try set(ZMQ_MAXMSGSIZE, size)
    case .sendHighWaterMark(let count): try set(ZMQ_SNDHWM, count)
    case .receiveHighWaterMark(let count): try set(ZMQ_RCVHWM, count)
    case .handshakeInterval(let time): try set(ZMQ_HANDSHAKE_IVL, time)
    case .reconnectInterval(let least, let most):
      try set(ZMQ_RECONNECT_IVL, least)
      try set(ZMQ_RECONNECT_IVL_MAX, most)
    case .tcpTimeouts(let idle, let unacknowledged):
      try set(ZMQ_TCP_KEEPALIVE, Int32(1))
      try set(ZMQ_TCP_KEEPALIVE_IDLE, idle)
      try set(ZMQ_TCP_KEEPALIVE_INTVL, Int32(5))
      try set(ZMQ_TCP_KEEPALIVE_CNT, Int32(3))
      try set(ZMQ_TCP_MAXRT, unacknowledged)
    case .kernelSendBuffer(let bytes): try set(ZMQ_SNDBUF, bytes == 0 ? -1 : bytes)
    case .immediate: try set(ZMQ_IMMEDIATE, Int32(1))
    case .ipv6: try set(ZMQ_IPV6, Int32(1))
    case .curveServer(let own):
      try set(ZMQ_CURVE_SERVER, Int32(1))
      try own.withBytes { bytes throws(ZeroMQError) in try set(ZMQ_CURVE_SECRETKEY, bytes) }
    case .curveClient(let server, let own):
      try set(ZMQ_CURVE_SERVERKEY, server)
      try set(ZMQ_CURVE_PUBLICKEY, own.publicKey)
      try own.withBytes { bytes throws(ZeroMQError) in try set(ZMQ_CURVE_SECRETKEY, bytes) }
    case .zapDomain(let domain):
      let status = domain.withCString { zmq_setsockopt(handle, ZMQ_ZAP_DOMAIN, $0, domain.utf8.count) }
      guard status == 0 else { throw ZeroMQError("zmq_setsockopt \(ZMQ_ZAP_DOMAIN)") }
      try set(Self.enforceZAPDomain, Int32(1))
    }
  }

  private func set(_ option: Int32, _ value: some BitwiseCopyable) throws(ZeroMQError) {
    let status = withUnsafeBytes(of: value) { zmq_setsockopt(handle, option, $0.baseAddress, $0.count) }
    guard status == 0 else { throw ZeroMQError("zmq_setsockopt \(option)") }
  }

  private func set(_ option: Int32, _ value: UnsafeRawBufferPointer) throws(ZeroMQError) {
    guard zmq_setsockopt(handle, option, value.baseAddress, value.count) == 0 else {
      throw ZeroMQError("zmq_setsockopt \(option)")
    }
  }

  private func set(_ option: Int32, _ key: PublicKey) throws(ZeroMQError) {
    let status = key.bytes.withUnsafeBytes { zmq_setsockopt(handle, option, $0.baseAddress, $0.count) }
    guard status == 0 else { throw ZeroMQError("zmq_setsockopt \(option)") }
  }

  /// ZMQ_ZAP_ENFORCE_DOMAIN: without it a server whose handler is not there admits everybody. Headers without the draft
  /// API leave it out.
  private static let enforceZAPDomain: Int32 = 93

  // MARK: endpoints

  public func bind(_ endpoint: String) throws(ZeroMQError) {
    guard zmq_bind(handle, endpoint) == 0 else { throw ZeroMQError("bind \(endpoint)") }
  }

  public func connect(_ endpoint: String) throws(ZeroMQError) {
    guard zmq_connect(handle, endpoint) == 0 else { throw ZeroMQError("connect \(endpoint)") }
  }

  /// Where it was bound last, with the port that the system chose for `tcp://host:*`.
  public var lastEndpoint: String {
    var text = [CChar](repeating: 0, count: 512)
    var count = text.count
    guard zmq_getsockopt(handle, ZMQ_LAST_ENDPOINT, &text, &count) == 0 else { return "" }
    return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  // MARK: messages

  public enum Sending: Sendable {
    case sent
    /// Nobody to send to, or its queue is full. Nothing was sent.
    case refused
  }

  /// Sends all parts as one message, or nothing. Never waits.
  public func send(_ parts: [Frame]) throws(ZeroMQError) -> Sending {
    for (index, part) in parts.enumerated() {
      let more = index + 1 < parts.count ? ZMQ_SNDMORE : 0
      while zmq_msg_send(part.message, handle, ZMQ_DONTWAIT | more) < 0 {
        switch zmq_errno() {
        case EINTR: continue
        // Only the first part can be refused: the others go where it went.
        case EAGAIN, EHOSTUNREACH: return .refused
        default: throw ZeroMQError("zmq_msg_send")
        }
      }
    }
    return .sent
  }

  /// The next message; nil when none is there. Never waits.
  ///
  /// - Parameter partLimit: parts beyond these are thrown away, so that an endless message costs no memory.
  /// - Returns: the parts, and whether there were more.
  public func receive(partLimit: Int) throws(ZeroMQError) -> (parts: [Frame], wasCut: Bool)? {
    var parts: [Frame] = []
    var wasCut = false
    while true {
      let frame = Frame.empty()
      while zmq_msg_recv(frame.message, handle, ZMQ_DONTWAIT) < 0 {
        switch zmq_errno() {
        case EINTR: continue
        case EAGAIN: return nil
        default: throw ZeroMQError("zmq_msg_recv")
        }
      }
      let hasMore = zmq_msg_more(frame.message) != 0
      if parts.count < partLimit { parts.append(frame) } else { wasCut = true }
      if !hasMore { return (parts, wasCut) }
    }
  }

  /// Waits until a message can be received; zmq_poll(3). For programs with one socket and nothing else to do.
  public func wait(milliseconds: Int) throws(ZeroMQError) -> Bool {
    var item = zmq_pollitem_t(socket: handle, fd: 0, events: Int16(ZMQ_POLLIN), revents: 0)
    let count = zmq_poll(&item, 1, milliseconds)
    if count < 0 && zmq_errno() != EINTR { throw ZeroMQError("zmq_poll") }
    return count > 0
  }
}

@available(*, unavailable)
extension Socket: Sendable {}
