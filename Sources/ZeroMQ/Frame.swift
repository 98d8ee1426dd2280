import CZeroMQ

/// One part of a message.
///
/// Sound to send between threads: its bytes never change after it was made, and libzmq counts references to them
/// atomically.
public final class Frame: @unchecked Sendable {
  let message: UnsafeMutablePointer<zmq_msg_t>

  private init() {
    message = .allocate(capacity: 1)
  }

  deinit {
    zmq_msg_close(message)
    message.deallocate()
  }

  /// An empty frame, to receive into.
  static func empty() -> Frame {
    let frame = Frame()
    zmq_msg_init(frame.message)
    return frame
  }

  /// A copy of `bytes`.
  public convenience init(_ bytes: some Collection<UInt8>) {
    self.init()
    guard zmq_msg_init_size(message, bytes.count) == 0, let start = zmq_msg_data(message) else {
      preconditionFailure("out of memory")
    }
    UnsafeMutableRawBufferPointer(start: start, count: bytes.count).copyBytes(from: bytes)
  }

  /// `count` bytes that `fill` writes.
  public convenience init<E: Error>(
    count: Int, filling fill: (UnsafeMutableRawBufferPointer) throws(E) -> Void
  ) throws(E) {
    self.init()
    guard zmq_msg_init_size(message, count) == 0 else { preconditionFailure("out of memory") }
    try fill(UnsafeMutableRawBufferPointer(start: zmq_msg_data(message), count: count))
  }

  /// Memory that is sent from where it lies; zmq_msg_init_data(3).
  ///
  /// The memory must not be a mapping of a file that others can truncate: libzmq ends the process when a page is
  /// gone while it sends.
  ///
  /// - Parameter release: called on any thread once libzmq needs the memory no longer.
  public convenience init(borrowing bytes: UnsafeRawBufferPointer, release: @escaping @Sendable () -> Void) {
    self.init()
    let hint = Unmanaged.passRetained(Release(release))
    let start = UnsafeMutableRawPointer(mutating: bytes.baseAddress)
    let status = zmq_msg_init_data(
      message, start, bytes.count,
      { _, hint in
        guard let hint else { return }
        Unmanaged<Release>.fromOpaque(hint).takeRetainedValue().body()
      }, hint.toOpaque())
    precondition(status == 0, "out of memory")
  }

  private final class Release: Sendable {
    let body: @Sendable () -> Void

    init(_ body: @escaping @Sendable () -> Void) {
      self.body = body
    }
  }

  public var count: Int { zmq_msg_size(message) }

  /// The bytes, while the frame lives.
  public func withBytes<Result, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> Result) throws(E) -> Result {
    let result = try body(UnsafeRawBufferPointer(start: zmq_msg_data(message), count: zmq_msg_size(message)))
    withExtendedLifetime(self) {}
    return result
  }

  public var bytes: [UInt8] { withBytes { Array($0) } }

  /// The descriptor of the connection that brought it; nil for one in this process. To be asked as `property` is.
  public var descriptor: Int32? {
    let descriptor = zmq_msg_get(message, ZMQ_SRCFD)
    return descriptor < 0 ? nil : descriptor
  }

  /// What the connection that brought it says of the peer; zmq_msg_gets(3).
  public enum Property: String, Sendable {
    /// What the ZAP handler called it; nil where none was asked.
    case userID = "User-Id"
    /// nil for one in this process.
    case peerAddress = "Peer-Address"
  }

  /// To be asked of the last frame of a message: libzmq 4.3.4 loses it on the routing id after polling.
  public func property(_ property: Property) -> String? {
    // A frame that was made here has none, which libzmq takes for a mistake and tells by nil as well.
    let value = zmq_msg_gets(message, property.rawValue)
    defer { withExtendedLifetime(self) {} }
    return value.map { String(cString: $0) }
  }
}
