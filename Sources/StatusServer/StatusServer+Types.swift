import FoundationEssentials

extension StatusServer {
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
      self.init(host: host == "localhost" ? "127.0.0.1" : host, port: port)
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
}
