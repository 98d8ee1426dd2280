public import Diagnostics

extension Problem.Code {
  public static let endpointInvalid = Self("endpoint-invalid")
}

/// An address as libzmq takes it: `tcp://host:port`, `tcp://*:port`, `inproc://name`, `ipc://path`. Port 0 lets the system
/// choose one to listen at.
public struct Endpoint: Sendable, Hashable, CustomStringConvertible {
  public enum Transport: String, Sendable {
    case tcp, inproc, ipc
  }

  public let transport: Transport
  /// For tcp: the host, without a port.
  public let address: String
  public let port: Int?

  public static let defaultPort = 5755

  /// - Throws: `usage`, with an example.
  public init(_ text: String) throws(Failure) {
    func refusal(_ message: String) -> Failure {
      Failure(
        .usage, Problem(.endpointInvalid, "'\(text)' \(message)", remedy: "write it as in tcp://head:\(Self.defaultPort)"))
    }
    guard let colon = text.firstRange(of: "://") else { throw refusal("is not an address") }
    guard let transport = Transport(rawValue: String(text[..<colon.lowerBound])) else {
      throw refusal("is of an unknown transport")
    }
    let rest = text[colon.upperBound...]
    guard !rest.isEmpty, !rest.utf8.contains(0), rest.utf8.count < 256 else { throw refusal("names nothing") }
    self.transport = transport
    guard transport == .tcp else {
      address = String(rest)
      port = nil
      return
    }
    guard let last = rest.lastIndex(of: ":"), last > rest.startIndex, let port = UInt16(rest[rest.index(after: last)...])
    else { throw refusal("has no port") }
    address = String(rest[..<last])
    self.port = Int(port)
  }

  private init(transport: Transport, address: String, port: Int?) {
    self.transport = transport
    self.address = address
    self.port = port
  }

  public var description: String {
    "\(transport.rawValue)://\(address)\(port.map { ":\($0)" } ?? "")"
  }

  /// Where slices are streamed if nobody says otherwise: the next port, or the name with `-data`.
  public var dataEndpoint: Endpoint {
    if let port { return Endpoint(transport: transport, address: address, port: port == 0 ? 0 : port + 1) }
    return Endpoint(transport: transport, address: address + "-data", port: nil)
  }

  /// The endpoint for slices beside this one, as somebody wants it, or else the usual one.
  ///
  /// - Throws: `usage` where workers could not find it: a welcome names its port only.
  public func dataEndpoint(_ text: String?) throws(Failure) -> Endpoint {
    guard let text else { return dataEndpoint }
    let data = try Endpoint(text)
    guard data.transport == transport, data.address == address, transport == .tcp || data == dataEndpoint else {
      throw Failure(
        .usage,
        Problem(
          .endpointInvalid, "'\(text)' is not at the address of '\(self)', where workers look for it",
          remedy: "choose another port, as in \(dataEndpoint)"))
    }
    return data
  }

  /// The data endpoint of this coordinator, whose welcome names a port.
  public func resolving(dataPort: Int) -> Endpoint {
    transport == .tcp ? Endpoint(transport: .tcp, address: address, port: dataPort) : dataEndpoint
  }

  /// Whether only processes of this machine can reach it.
  public var isLocal: Bool {
    transport != .tcp || address == "127.0.0.1" || address == "localhost" || address == "[::1]"
  }
}
