import CLinux
import Glibc

/// A connection that libzmq has accepted. libzmq may close its descriptor at any time, and the next connection or file gets
/// that number: the cookie tells them apart.
public struct TCPConnection: Sendable, Hashable {
  public let descriptor: Int32
  /// SO_COOKIE: no other socket has it as long as the machine runs.
  let cookie: UInt64

  init(descriptor: Int32, cookie: UInt64) {
    self.descriptor = descriptor
    self.cookie = cookie
  }

  /// nil where the descriptor is of no TCP connection, or of none any more.
  public init?(descriptor: Int32) {
    self.init(descriptor: descriptor, cookie: linux_socket_cookie(descriptor))
    guard cookie != 0, bytesRead != nil else { return nil }
  }

  /// Bytes that libzmq has read from whatever has the descriptor now; nil where that is no TCP connection.
  public var bytesRead: Int? {
    let count = linux_tcp_bytes_read(descriptor)
    return count < 0 ? nil : Int(count)
  }

  /// Hangs up, as if the peer had: shutdown(2). libzmq then frees what it has of a message.
  ///
  /// - Returns: the peer's address; nil where the connection had ended before.
  public func end() -> String? {
    // What the copy stands for stays the same, whatever libzmq closes meanwhile.
    let copy = linux_duplicate(descriptor)
    guard copy >= 0 else { return nil }
    defer { close(copy) }
    guard linux_socket_cookie(copy) == cookie else { return nil }
    var text = [CChar](repeating: 0, count: 64)
    let hasAddress = linux_peer_address(copy, &text, text.count) == 0
    guard hasAddress, shutdown(copy, Int32(SHUT_RDWR)) == 0 else { return nil }
    return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
