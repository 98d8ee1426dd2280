public import Diagnostics
import Dispatch
import NIOCore
import NIOHTTP1
import NIOPosix
import Glibc

/// An HTTP server that only reads: what a daemon shows to people, to Prometheus, and to who watches over it.
public final class StatusServer: Sendable {
  public typealias Page = @Sendable () async -> Content

  public let address: Address
  private let group: MultiThreadedEventLoopGroup
  private let channel: any Channel

  /// Connections at a time; more are hung up on.
  private static let connectionLimit = 64
  /// Without a request, or without its answer being read.
  private static let patience = TimeAmount.seconds(15)

  /// Begins to answer.
  ///
  /// - Parameter pages: by path.
  /// - Throws: `unavailable` where the address is taken or not of this machine.
  public init(_ address: Address, pages: [String: Page]) throws(Failure) {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let connections = ConnectionCount(limit: Self.connectionLimit)
    let isLoopback = address.isLoopback
    let bootstrap = ServerBootstrap(group: group)
      .serverChannelOption(.backlog, value: 64)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          let pipeline = channel.pipeline.syncOperations
          try pipeline.addHandler(ConnectionLimiter(connections))
          try pipeline.addHandler(IdleStateHandler(allTimeout: Self.patience))
          try pipeline.configureHTTPServerPipeline(withPipeliningAssistance: true, withErrorHandling: true)
          try pipeline.addHandler(RequestHandler(pages: pages, isLoopback: isLoopback))
        }
      }
    func bind(_ host: String) throws -> any Channel { try bootstrap.bind(host: host, port: Int(address.port)).wait() }
    do {
      if address.host == "*" {
        // A system may have no IPv6.
        do { channel = try bind("::") } catch { channel = try bind("0.0.0.0") }
      } else {
        channel = try bind(address.host)
      }
    } catch {
      group.shutdownGracefully { _ in }
      throw Failure(
        .unavailable,
        Problem(
          .init("http-address"), "--http \(address) cannot be listened at: \(Self.reason(error))", remedy: "choose another address or port"))
    }
    self.group = group
    self.address = Address(host: address.host, port: UInt16(channel.localAddress?.port ?? Int(address.port)))
  }

  deinit { stop() }

  /// Closes everything. It is not waited for.
  public func stop() {
    channel.close(promise: nil)
    group.shutdownGracefully { _ in }
  }

  private static func reason(_ error: any Error) -> String {
    guard let error = error as? IOError else { return "there is no such address" }
    return String(cString: strerror(error.errnoCode))
  }
}
