import Synchronization
import Transport
import ZeroMQ

/// A `SendBudget` that libzmq's threads give back to.
final class SharedSendBudget: Sendable {
  private let budget = Mutex(SendBudget())

  /// - Returns: a frame that counts until it is sent; nil where too much waits for the peer already.
  func frame(_ bytes: [UInt8], for peer: [UInt8]) -> Frame? {
    guard budget.withLock({ $0.take(bytes.count, for: peer) }) else { return nil }
    let count = bytes.count
    let copy = Copy(bytes)
    return Frame(borrowing: UnsafeRawBufferPointer(copy.bytes)) { [self] in
      withExtendedLifetime(copy) {}
      budget.withLock { $0.giveBack(count, for: peer) }
    }
  }

  /// Memory that stays where it is. Sound to send: nobody writes to it.
  private final class Copy: @unchecked Sendable {
    let bytes: UnsafeMutableRawBufferPointer

    init(_ source: [UInt8]) {
      bytes = .allocate(byteCount: source.count, alignment: 1)
      bytes.copyBytes(from: source)
    }

    deinit { bytes.deallocate() }
  }
}
