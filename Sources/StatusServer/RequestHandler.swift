import NIOCore
import NIOHTTP1

/// Answers the requests of one connection, one after another.
final class RequestHandler: ChannelInboundHandler {
  typealias InboundIn = HTTPServerRequestPart
  typealias OutboundOut = HTTPServerResponsePart

  private let pages: [String: StatusServer.Page]
  private let isLoopback: Bool
  private let connections: Connections
  private let gate: Gate
  private var head: HTTPRequestHead?
  /// A request that is complete, and is answered when the client has read enough of the answers before: what is written and not
  /// read would pile up. Until then no other comes, as there is one at a time.
  private var held: HTTPRequestHead?
  /// Requests that were complete.
  private var count = 0
  /// Bytes that came behind the head.
  private var bodyBytes = 0

  /// None is wanted, and some clients send one.
  private static let bodyLimit = 64 << 10

  init(pages: [String: StatusServer.Page], isLoopback: Bool, connections: Connections, gate: Gate) {
    self.pages = pages
    self.isLoopback = isLoopback
    self.connections = connections
    self.gate = gate
  }

  func channelActive(context: ChannelHandlerContext) {
    connections.add(context.channel)
    context.fireChannelActive()
  }

  func channelInactive(context: ChannelHandlerContext) {
    connections.remove(context.channel)
    context.fireChannelInactive()
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    switch unwrapInboundIn(data) {
    case .head(let head): (self.head, bodyBytes) = (head, 0)
    case .body(let bytes):
      // Nothing is kept of it; one without end would keep the connection.
      bodyBytes += bytes.readableBytes
      if bodyBytes > Self.bodyLimit { context.close(promise: nil) }
    case .end:
      guard let head = head.take() else { return }
      count += 1
      connections.turn(context.channel, isAnswering: true)
      if context.channel.isWritable { answer(head, context) } else { held = head }
    }
  }

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    if context.channel.isWritable, let head = held.take() { answer(head, context) }
    context.fireChannelWritabilityChanged()
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    context.close(promise: nil)
  }

  private func answer(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
    guard head.method == .GET || head.method == .HEAD else {
      return send(.init(text: "only GET and HEAD\n", status: 405), to: head, context, more: [("Allow", "GET, HEAD")])
    }
    // A page of another site must not read this through a name of its own that leads here.
    if isLoopback, let host = head.headers.first(name: "host"), !Self.isLocal(host) {
      return send(.init(text: "this is not \(host.prefix(255))\n", status: 421), to: head, context)
    }
    let path = String(head.uri.prefix { $0 != "?" })
    guard let page = pages[path] else { return send(.init(text: "there is no such page\n", status: 404), to: head, context) }
    let bound = NIOLoopBound((handler: self, context: context), eventLoop: context.eventLoop)
    Task { [gate] in
      let content = await page()
      gate.pass { bound.eventLoop.execute { bound.value.handler.send(content, to: head, bound.value.context) } }
    }
  }

  private static func isLocal(_ host: String) -> Bool {
    if host == "[::1]" || host.hasPrefix("[::1]:") { return true }
    let name = host.prefix { $0 != ":" }
    let parts = name.split(separator: ".", omittingEmptySubsequences: false).map { UInt8($0) }
    return name == "localhost" || parts.count == 4 && parts[0] == 127 && !parts.contains(nil)
  }

  private static let policy =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'"

  private func send(
    _ content: StatusServer.Content, to request: HTTPRequestHead, _ context: ChannelHandlerContext, more: [(String, String)] = []
  ) {
    var headers: HTTPHeaders = [
      "Content-Type": content.type, "Content-Length": "\(content.body.count)", "Cache-Control": "no-store",
      "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY",
      "Content-Security-Policy": Self.policy,
    ]
    if !request.isKeepAlive { headers.add(name: "Connection", value: "close") }
    for (name, value) in more { headers.add(name: name, value: value) }
    let status = HTTPResponseStatus(statusCode: content.status)
    context.write(wrapOutboundOut(.head(HTTPResponseHead(version: .http1_1, status: status, headers: headers))), promise: nil)
    if request.method != .HEAD {
      context.write(wrapOutboundOut(.body(.byteBuffer(context.channel.allocator.buffer(bytes: content.body)))), promise: nil)
    }
    let isLast = !request.isKeepAlive
    let bound = NIOLoopBound((handler: self, context: context), eventLoop: context.eventLoop)
    // The next request may come while this is written.
    context.writeAndFlush(wrapOutboundOut(.end(nil))).whenComplete { [count] _ in
      let (handler, context) = bound.value
      if isLast { return context.close(promise: nil) }
      if handler.count == count { handler.connections.turn(context.channel, isAnswering: false) }
    }
  }
}
