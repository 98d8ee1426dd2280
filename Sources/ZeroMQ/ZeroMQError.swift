import CZeroMQ

/// What a call to libzmq reported.
public struct ZeroMQError: Error, Sendable, Equatable, CustomStringConvertible {
  /// An errno, or one of libzmq's own numbers.
  public let number: Int32
  /// The C function, with the endpoint where there is one.
  public let call: String

  init(_ call: String) {
    number = zmq_errno()
    self.call = call
  }

  public var description: String { "\(call): \(message)" }
  public var message: String { String(cString: zmq_strerror(number)) }
}
