import NIOCore
import Synchronization

/// How many connections there are.
final class ConnectionCount: Sendable {
  private let count = Atomic(0)
  private let limit: Int

  init(limit: Int) {
    self.limit = limit
  }

  /// - Returns: false where there are enough already; it counts all the same.
  func add() -> Bool { count.wrappingAdd(1, ordering: .relaxed).newValue <= limit }
  func remove() { count.wrappingSubtract(1, ordering: .relaxed) }
}

/// Hangs up on connections that are too many, or do nothing.
final class ConnectionLimiter: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer

  private let connections: ConnectionCount

  init(_ connections: ConnectionCount) {
    self.connections = connections
  }

  func channelActive(context: ChannelHandlerContext) {
    guard connections.add() else { return context.close(promise: nil) }
    context.fireChannelActive()
  }

  func channelInactive(context: ChannelHandlerContext) {
    connections.remove()
    context.fireChannelInactive()
  }
}
