public import Diagnostics
import Dispatch
import FlyingFox
import FlyingSocks
import FoundationEssentials
import Synchronization

/// An HTTP server that only reads: what a daemon shows to people, to Prometheus, and to who watches over it.
public final class StatusServer: Sendable {
  /// An address and a port, as in `127.0.0.1:5780`, `[::1]:5780` or `*:5780`.
  public struct Address: Sendable, Equatable, LosslessStringConvertible {
    public let host: String
    public let port: UInt16

    public init?(_ text: String) {
      guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else { return nil }
      var host = String(text[..<colon])
      if host.hasPrefix("[") && host.hasSuffix("]") {
        host = String(host.dropFirst().dropLast())
      } else if host.contains(":") {
        return nil
      }
      guard !host.isEmpty else { return nil }
      self.host = host == "localhost" ? "127.0.0.1" : host
      self.port = port
    }

    init(host: String, port: UInt16) {
      self.host = host
      self.port = port
    }

    public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

    /// Whether only processes of this machine reach it.
    public var isLoopback: Bool { host == "::1" || host.hasPrefix("127.") }
  }

  /// What is answered to a path.
  public struct Content: Sendable {
    public var status = 200
    public var type: String
    public var body: [UInt8]

    public init(_ type: String, _ body: [UInt8], status: Int = 200) {
      self.status = status
      self.type = type
      self.body = body
    }

    public init(text: String, type: String = "text/plain; charset=utf-8", status: Int = 200) {
      self.init(type, Array(text.utf8), status: status)
    }

    public init(json value: some Encodable) {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
      encoder.nonConformingFloatEncodingStrategy = .convertToString(positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
      guard let data = try? encoder.encode(value) else { preconditionFailure("what is shown is always valid JSON") }
      self.init("application/json", Array(data))
    }
  }

  public typealias Page = @Sendable () async -> Content

  public let address: Address
  private let task: Task<Void, Never>

  /// Begins to answer.
  ///
  /// - Parameter pages: by path.
  /// - Throws: `unavailable` where the address is taken or not of this machine.
  public init(_ address: Address, pages: [String: Page]) throws(Failure) {
    let server = try Self.server(address, Handler(pages: pages, isLoopback: address.isLoopback))
    let opening = Opening()
    let task = Task {
      do { try await server.run() } catch { opening.settle(nil) }
    }
    Task {
      do {
        try await server.waitUntilListening()
        opening.settle(await server.listeningPort)
      } catch {
        opening.settle(nil)
      }
    }
    self.task = task
    guard let port = opening.wait() else {
      task.cancel()
      throw Self.failure(address, "cannot be listened at: it is taken, or not of this machine")
    }
    self.address = Address(host: address.host, port: port)
  }

  private static func server(_ address: Address, _ handler: Handler) throws(Failure) -> HTTPServer {
    let (host, port) = (address.host, address.port)
    do {
      if host == "*" { return HTTPServer(address: .inet(port: port), timeout: patience, logger: .disabled, handler: handler) }
      if host.contains(":") {
        return HTTPServer(address: try .inet6(ip6: host, port: port), timeout: patience, logger: .disabled, handler: handler)
      }
      return HTTPServer(address: try .inet(ip4: host, port: port), timeout: patience, logger: .disabled, handler: handler)
    } catch {
      throw failure(address, "is not an address that can be listened at")
    }
  }

  /// Whether and where a server listens, as far as that is known.
  private final class Opening: Sendable {
    /// The inner is nil where it does not.
    private let port = Mutex<UInt16??>(nil)
    private let isSettled = DispatchSemaphore(value: 0)

    /// The first counts.
    func settle(_ value: UInt16?) {
      let isFirst = port.withLock { port in
        guard port == nil else { return false }
        port = .some(value)
        return true
      }
      if isFirst { isSettled.signal() }
    }

    func wait() -> UInt16? {
      isSettled.wait()
      return port.withLock { $0 } ?? nil
    }
  }

  deinit { task.cancel() }

  public func stop() { task.cancel() }

  /// Seconds for a request to come.
  private static let patience = 15.0

  private static func failure(_ address: Address, _ message: String) -> Failure {
    Failure(.unavailable, Problem(.init("http-address"), "--http \(address) \(message)", remedy: "choose another port"))
  }
}

extension HTTPServer {
  fileprivate var listeningPort: UInt16? {
    switch listeningAddress {
    case .ip4(_, let port), .ip6(_, let port): port
    case .unix, nil: nil
    }
  }
}

private struct Handler: HTTPHandler {
  let pages: [String: StatusServer.Page]
  let isLoopback: Bool

  func handleRequest(_ request: HTTPRequest) async throws -> HTTPResponse {
    guard request.method == .GET || request.method == .HEAD else {
      return response(.init(text: "only GET and HEAD\n", status: 405), to: request, more: [HTTPHeader("Allow"): "GET, HEAD"])
    }
    // A page of another site must not read this through a name of its own that leads here.
    if isLoopback, let host = request.headers[.host], !Self.isLocal(host) {
      return response(.init(text: "this is not \(host.prefix(255))\n", status: 421), to: request)
    }
    guard let page = pages[request.path] else { return response(.init(text: "there is no such page\n", status: 404), to: request) }
    return response(await page(), to: request)
  }

  private static func isLocal(_ host: String) -> Bool {
    if host == "[::1]" || host.hasPrefix("[::1]:") { return true }
    let name = host.prefix { $0 != ":" }
    let parts = name.split(separator: ".", omittingEmptySubsequences: false).map { UInt8($0) }
    return name == "localhost" || parts.count == 4 && parts[0] == 127 && !parts.contains(nil)
  }

  private func response(
    _ content: StatusServer.Content, to request: HTTPRequest, more: [HTTPHeader: String] = [:]
  ) -> HTTPResponse {
    var headers: HTTPHeaders = [
      .contentType: content.type, HTTPHeader("Cache-Control"): "no-store", HTTPHeader("X-Content-Type-Options"): "nosniff",
      HTTPHeader("Referrer-Policy"): "no-referrer", HTTPHeader("X-Frame-Options"): "DENY",
      HTTPHeader("Content-Security-Policy"):
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'",
    ]
    for (name, value) in more { headers[name] = value }
    let status = HTTPStatusCode(content.status, phrase: Self.phrases[content.status] ?? "")
    return HTTPResponse(statusCode: status, headers: headers, body: request.method == .HEAD ? Data() : Data(content.body))
  }

  private static let phrases = [200: "OK", 404: "Not Found", 405: "Method Not Allowed", 421: "Misdirected Request", 503: "Service Unavailable"]
}
