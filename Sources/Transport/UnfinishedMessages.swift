public import ZeroMQ

/// What peers have begun to say and not ended: whose connections are to be ended.
///
/// libzmq (4.3.4) keeps the parts of a message until the last one comes, and counts them nowhere. Known are how
/// much it has read from a connection, and which connection a message came from. libzmq serves connections in turn: once
/// each has had its turn, what was read before from one that brought no message since is of a message that has no end yet.
public struct UnfinishedMessages: Sendable {
  private struct Account {
    let connection: TCPConnection
    /// Bytes read when a message of it was last taken, or later.
    var settled = 0
    /// Bytes read at the last judgement.
    var read = 0
  }

  /// Bytes of one connection, and of all. One that brings whole messages needs as many as the largest of them.
  let limit: Int
  let totalLimit: Int
  private var accounts: [Int32: Account] = [:]
  /// Descriptors that messages came from since the last judgement; those without an account, since ever.
  private var heard: Set<Int32> = []
  /// Messages to be taken from each socket before all connections have had their turn.
  private var turns: [Int]

  /// Enough for messages of some connections that are not counted.
  static let leastTurns = 256

  /// - Parameter socketCount: sockets that the connections belong to.
  public init(socketCount: Int, limit: Int, totalLimit: Int) {
    self.limit = limit
    self.totalLimit = totalLimit
    turns = Array(repeating: 0, count: socketCount)
  }

  public mutating func accepted(_ connection: TCPConnection) {
    guard accounts[connection.descriptor]?.connection != connection else { return }
    accounts[connection.descriptor] = Account(connection: connection)
  }

  /// A message was taken from a socket.
  ///
  /// - Parameter descriptor: of the connection that brought it.
  public mutating func took(from descriptor: Int32?, of socket: Int) {
    turns[socket] -= 1
    if let descriptor { heard.insert(descriptor) }
  }

  /// A socket had no message: every connection has had its turn.
  public mutating func foundNothing(in socket: Int) {
    turns[socket] = 0
  }

  /// To be asked again and again.
  ///
  /// - Parameter bytesRead: from a connection; nil where it is none any more.
  /// - Returns: those to end, which are forgotten: who holds more than the limit, and while all hold too much, who holds most.
  public mutating func judge(_ bytesRead: (TCPConnection) -> Int?) -> [TCPConnection] {
    guard turns.allSatisfy({ $0 <= 0 }) else { return [] }
    var unfinished: [(connection: TCPConnection, bytes: Int)] = []
    for (descriptor, account) in accounts {
      let isHeard = heard.remove(descriptor) != nil
      guard let read = bytesRead(account.connection) else {
        accounts[descriptor] = nil
        continue
      }
      accounts[descriptor]?.read = read
      if isHeard {
        accounts[descriptor]?.settled = read
      } else if account.read > account.settled {
        unfinished.append((account.connection, account.read - account.settled))
      }
    }
    turns = turns.map { _ in max(Self.leastTurns, 2 * accounts.count) }
    unfinished.sort { $0.bytes > $1.bytes }
    var total = unfinished.reduce(0) { $0 + $1.bytes }
    let ended = unfinished.prefix { next in
      defer { total -= next.bytes }
      return next.bytes > limit || total > totalLimit
    }
    for (connection, _) in ended { accounts[connection.descriptor] = nil }
    return ended.map(\.connection)
  }
}
