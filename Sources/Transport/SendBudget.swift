/// How many bytes of answers may wait for peers that do not read them. ZeroMQ bounds their number only, and one can be
/// large.
///
/// A peer for which nothing waits may always be answered, so that nobody is silenced by others.
public struct SendBudget: Sendable {
  /// Bytes for one peer, and for all.
  let peerLimit: Int
  let totalLimit: Int
  private var waiting: [[UInt8]: Int] = [:]
  public private(set) var total = 0

  /// What a message costs beside its bytes.
  static let overhead = 256

  public init(peerLimit: Int = 8 << 20, totalLimit: Int = 32 << 20) {
    self.peerLimit = peerLimit
    self.totalLimit = totalLimit
  }

  /// - Returns: whether a message of so many bytes may be sent; it then counts until it is given back.
  public mutating func take(_ bytes: Int, for peer: [UInt8]) -> Bool {
    let cost = bytes + Self.overhead
    let before = waiting[peer, default: 0]
    guard before == 0 || before + cost <= peerLimit && total + cost <= totalLimit else { return false }
    waiting[peer] = before + cost
    total += cost
    return true
  }

  /// The transport does not need a message any more: it is sent, or its peer has gone.
  public mutating func giveBack(_ bytes: Int, for peer: [UInt8]) {
    let cost = bytes + Self.overhead
    total -= cost
    let left = waiting[peer, default: cost] - cost
    waiting[peer] = left > 0 ? left : nil
  }
}
