import Testing

@testable import Transport
@testable import ZeroMQ

@Suite("Messages that have no end")
struct UnfinishedMessagesTests {
  /// Connections by their descriptors, and what was read from each.
  private final class Peers {
    var unfinished: UnfinishedMessages
    var read: [Int32: Int] = [:]

    init(_ descriptors: ClosedRange<Int32>, limit: Int = 100, totalLimit: Int = 1000) {
      unfinished = UnfinishedMessages(socketCount: 2, limit: limit, totalLimit: totalLimit)
      for descriptor in descriptors { accept(descriptor) }
    }

    func accept(_ descriptor: Int32, cookie: UInt64 = 1) {
      unfinished.accepted(TCPConnection(descriptor: descriptor, cookie: cookie))
      read[descriptor] = 0
    }

    /// Everybody had a turn.
    func judge() -> [Int32] {
      for socket in 0..<2 { unfinished.foundNothing(in: socket) }
      return judgeNow()
    }

    func judgeNow() -> [Int32] {
      unfinished.judge { [read] in read[$0.descriptor] }.map(\.descriptor)
    }
  }

  @Test("who brings more than the largest message and no message is ended, once")
  func endless() {
    let peers = Peers(1...2)
    peers.read = [1: 100, 2: 101]
    // It may be whole, and not be taken yet.
    #expect(peers.judge().isEmpty)
    #expect(peers.judge() == [2])
    #expect(peers.judge().isEmpty)
    peers.read[1] = 101
    #expect(peers.judge().isEmpty)
    #expect(peers.judge() == [1])
  }

  @Test("who brings messages is never ended, however much they are")
  func brings() {
    let peers = Peers(1...1)
    for _ in 0..<100 {
      peers.read[1]? += 1_000_000
      #expect(peers.judge().isEmpty)
      peers.unfinished.took(from: 1, of: 0)
    }
  }

  @Test("a message that was taken before its connection was known counts")
  func early() {
    let peers = Peers(2...2)
    peers.unfinished.took(from: 1, of: 1)
    #expect(peers.judge().isEmpty)
    peers.accept(1)
    peers.read[1] = 1000
    for _ in 0..<5 { #expect(peers.judge().isEmpty) }
  }

  @Test("nobody is judged before each connection of both sockets has had its turn", arguments: [2, 1000])
  func turns(count: Int) {
    let peers = Peers(1...Int32(count))
    #expect(peers.judge().isEmpty)
    peers.read[1] = 1000
    #expect(peers.judge().isEmpty)
    for _ in 0..<10 { #expect(peers.judgeNow().isEmpty) }
    peers.unfinished.foundNothing(in: 0)
    #expect(peers.judgeNow().isEmpty)
    // Somebody who never stops talking does not keep the others from being judged.
    for _ in 1..<max(UnfinishedMessages.leastTurns, 2 * count) {
      peers.unfinished.took(from: 2, of: 1)
      #expect(peers.judgeNow().isEmpty)
    }
    peers.unfinished.took(from: 2, of: 1)
    #expect(peers.judgeNow() == [1])
  }

  @Test("where all together hold too much, who holds most is ended")
  func total() {
    let peers = Peers(1...5, limit: 100, totalLimit: 150)
    peers.read = [1: 60, 2: 50, 3: 70, 4: 20, 5: 0]
    #expect(peers.judge().isEmpty)
    #expect(peers.judge() == [3])
    #expect(peers.judge().isEmpty)
    peers.read[5] = 90
    #expect(peers.judge().isEmpty)
    #expect(peers.judge() == [5])
  }

  @Test("a descriptor that is another's begins anew, and one that is nobody's is forgotten")
  func reused() {
    let peers = Peers(1...2)
    peers.read = [1: 1000, 2: 1000]
    #expect(peers.judge().isEmpty)
    peers.accept(1, cookie: 2)
    peers.read = [1: 5]
    for _ in 0..<3 { #expect(peers.judge().isEmpty) }
    // An event that comes twice changes nothing.
    peers.read[1] = 101
    #expect(peers.judge().isEmpty)
    peers.unfinished.accepted(TCPConnection(descriptor: 1, cookie: 2))
    #expect(peers.judge() == [1])
  }
}
