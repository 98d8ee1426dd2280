import CZeroMQ

/// libzmq's I/O threads and the names of inproc endpoints; zmq_ctx_new(3). Safe to use from any thread.
///
/// It goes when the last socket made from it has gone.
public final class Context: Sendable {
  // A context is the one object of libzmq that threads may share.
  nonisolated(unsafe) let handle: UnsafeMutableRawPointer

  /// - Parameters:
  ///   - ioThreads: threads that move bytes; one for each gigabyte a second (the guide's rule).
  ///   - socketLimit: sockets of all kinds, those of accepted peers not counted.
  public init(ioThreads: Int = 1, socketLimit: Int = 4096) {
    guard let handle = zmq_ctx_new() else { preconditionFailure("out of memory") }
    self.handle = handle
    zmq_ctx_set(handle, ZMQ_IO_THREADS, Int32(ioThreads))
    zmq_ctx_set(handle, ZMQ_MAX_SOCKETS, Int32(socketLimit))
  }

  deinit {
    // Sockets hold their context, so none is left to wait for but what lingers.
    while zmq_ctx_term(handle) != 0 && zmq_errno() == EINTR {}
  }

  /// libzmq's version, as in `4.3.4`.
  public static var version: String {
    var (major, minor, patch): (Int32, Int32, Int32) = (0, 0, 0)
    zmq_version(&major, &minor, &patch)
    return "\(major).\(minor).\(patch)"
  }

  /// Whether libzmq was built with encryption; zmq_has(3).
  public static var hasCurve: Bool { zmq_has("curve") == 1 }
}
