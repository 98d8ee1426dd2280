import Glibc
import Wire
public import ZeroMQ

/// Receives for sockets that listen, and hangs up on peers that begin messages and do not end them
/// (`UnfinishedMessages`). Only TCP is watched.
public final class ConnectionGuard {
  private let sockets: [Socket]
  private let monitors: [SocketMonitor]
  private var unfinished: UnfinishedMessages

  /// Between two looks at the connections.
  public static let interval = 100
  /// The largest message that anybody may send, and room for what is on its way to its place.
  private static let limit = Limits.controlBytes + Limits.chunkBytes
  /// Of all together: with each gigabyte, 32 workers may be in the midst of a chunk.
  private static let totalLimit = max(256 << 20, sysconf(Int32(_SC_PHYS_PAGES)) / 8 * sysconf(Int32(_SC_PAGESIZE)))

  /// To be made before the sockets are bound.
  ///
  /// - Parameter name: unique in the context.
  public convenience init(_ sockets: [Socket], in context: Context, name: String) throws(ZeroMQError) {
    try self.init(sockets, in: context, name: name, limit: Self.limit, totalLimit: Self.totalLimit)
  }

  init(_ sockets: [Socket], in context: Context, name: String, limit: Int, totalLimit: Int) throws(ZeroMQError) {
    var monitors: [SocketMonitor] = []
    for (number, socket) in sockets.enumerated() {
      monitors.append(try SocketMonitor(socket, in: context, name: "\(name)-\(number)", onlyAccepted: true))
    }
    self.sockets = sockets
    self.monitors = monitors
    unfinished = UnfinishedMessages(socketCount: sockets.count, limit: limit, totalLimit: totalLimit)
  }

  /// `Socket.receive`, for all that is taken from these sockets.
  public func receive(from socket: Socket, partLimit: Int) throws(ZeroMQError) -> (parts: [Frame], wasCut: Bool)? {
    let message = try socket.receive(partLimit: partLimit)
    guard let number = sockets.firstIndex(where: { $0 === socket }) else { return message }
    if let message {
      unfinished.took(from: message.parts.last?.descriptor, of: number)
    } else {
      unfinished.foundNothing(in: number)
    }
    return message
  }

  /// To be called again and again.
  ///
  /// - Returns: the addresses of peers that were hung up on.
  public func endUnfinished() -> [String] {
    for monitor in monitors {
      while let event = try? monitor.next() {
        if let connection = TCPConnection(descriptor: event.value) { unfinished.accepted(connection) }
      }
    }
    for (number, socket) in sockets.enumerated() where (try? socket.wait(milliseconds: 0)) == false {
      unfinished.foundNothing(in: number)
    }
    return unfinished.judge { $0.bytesRead }.compactMap { $0.end() }
  }
}
