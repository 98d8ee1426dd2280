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
  private let gate: Gate
  private let sweep: RepeatedTask

  /// Connections at a time; for more the one that has been idle for the longest is hung up on.
  static let connectionLimit = 64
  /// Bytes read at a time: requests that come before their turn are kept, at some multiple of their size.
  private static let readSize = 4096

  /// Begins to answer.
  ///
  /// - Parameters:
  ///   - pages: by path.
  ///   - patience: how long a client may take to send a request, all of it, and as long again to read the answer.
  /// - Throws: `unavailable` where the address is taken or not of this machine.
  public init(_ address: Address, pages: [String: Page], patience: Duration = .seconds(15)) throws(Failure) {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let connections = Connections(limit: Self.connectionLimit, patience: patience)
    let isLoopback = address.isLoopback
    let gate = Gate()
    let bootstrap = ServerBootstrap(group: group)
      .serverChannelOption(.backlog, value: 64)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .childChannelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: Self.readSize))
      .childChannelOption(.maxMessagesPerRead, value: 1)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          let pipeline = channel.pipeline.syncOperations
          try pipeline.configureHTTPServerPipeline(withPipeliningAssistance: true, withErrorHandling: true)
          try pipeline.addHandler(RequestHandler(pages: pages, isLoopback: isLoopback, connections: connections, gate: gate))
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
    self.gate = gate
    sweep = channel.eventLoop.scheduleRepeatedTask(initialDelay: .seconds(1), delay: .seconds(1)) { _ in connections.closeOverdue() }
    self.address = Address(host: address.host, port: UInt16(channel.localAddress?.port ?? Int(address.port)))
  }

  deinit { stop() }

  /// Closes everything. Answers that are under way are let go of.
  public func stop() {
    guard gate.close() else { return }
    sweep.cancel()
    // Closes all channels, and waits for that.
    try? group.syncShutdownGracefully()
  }

  private static func reason(_ error: any Error) -> String {
    guard let error = error as? IOError else { return "there is no such address" }
    return String(cString: strerror(error.errnoCode))
  }
}
