public import Keys
import Wire
public import ZeroMQ

/// What sockets are told about peers that misbehave or vanish (design, section 6).
public enum SocketOptions {
  private static let common: [Socket.Option] = [
    // Not libzmq's own heartbeats: their timer ends the process (assertion !_io_error in stream_engine_base.cpp, 4.3.4 and
    // 4.3.5) when a peer hangs up while its messages wait for room. Workers and coordinators say beats to each other.
    .handshakeInterval(5000), .tcpTimeouts(idleSeconds: 10, unacknowledgedMilliseconds: 15_000),
  ]

  /// Bytes that one peer may have waiting to be read; then TCP makes it wait. libzmq counts messages, so fewer of those that
  /// may be large.
  private static let receiveBytes = 64 << 20

  /// The coordinator's sockets. What is sent is bounded by what peers were granted and by a `SendBudget`, not by libzmq,
  /// which would drop.
  ///
  /// - Parameter key: the coordinator's; with one, only those enter whom an `Authenticator` lets in, which must be open.
  public static func listening(maxMessageSize: Int, key: SecretKey? = nil) -> [Socket.Option] {
    let limit = maxMessageSize + (key == nil ? 0 : curveBytes)
    return common + (key.map { [.curveServer($0), .zapDomain(Authenticator.domain)] } ?? []) + [
      .ipv6, .linger(1000), .routerMandatory, .maxMessageSize(Int64(limit)), .sendHighWaterMark(100_000),
      .receiveHighWaterMark(Int32(max(4, min(10_000, receiveBytes / maxMessageSize)))),
    ]
  }

  /// A worker's or a client's. With IPv6 libzmq takes a name's IPv6 address only, so it is for addresses that are one.
  ///
  /// - Parameter ipv6: tries a name's IPv6 address.
  public static func connecting(
    to endpoint: Endpoint, maxMessageSize: Int, ipv6: Bool = false, credentials: Credentials? = nil
  ) -> [Socket.Option] {
    let limit = maxMessageSize + (credentials == nil ? 0 : curveBytes)
    return common + (ipv6 || endpoint.address.hasPrefix("[") ? [.ipv6] : [])
      + (credentials.map { [.curveClient(server: $0.server, own: $0.own)] } ?? []) + [
      .linger(1000), .maxMessageSize(Int64(limit)), .reconnectInterval(100, most: 2000),
      .sendHighWaterMark(100_000), .receiveHighWaterMark(10_000),
    ]
  }

  /// What encryption adds to a frame, which libzmq counts with it (https://rfc.zeromq.org/spec/26): the command's name, a
  /// nonce, a tag and flags are 33 bytes.
  private static let curveBytes = 64

  /// Within one machine no bytes are on their way: what is sent at once should still be in the processor's cache when it is
  /// received. Elsewhere the kernel finds out what the network takes.
  static func kernelSendBuffer(for endpoint: Endpoint) -> Int32 {
    endpoint.transport == .tcp && endpoint.isLocal ? 512 << 10 : 0
  }

  public static let control = Limits.controlBytes
  public static let data = Limits.chunkBytes
}

extension Socket {
  /// Binds or connects to where `endpoint` leads.
  ///
  /// - Returns: the port that it listens at.
  @discardableResult
  public func bind(_ endpoint: Endpoint) throws(ZeroMQError) -> Int? {
    try set(.kernelSendBuffer(SocketOptions.kernelSendBuffer(for: endpoint)))
    try bind(endpoint.port == 0 ? "tcp://\(endpoint.address):*" : endpoint.description)
    return endpoint.transport == .tcp ? lastEndpoint.split(separator: ":").last.flatMap { Int($0) } : nil
  }

  public func connect(_ endpoint: Endpoint) throws(ZeroMQError) {
    try set(.kernelSendBuffer(SocketOptions.kernelSendBuffer(for: endpoint)))
    try connect(endpoint.description)
  }
}
