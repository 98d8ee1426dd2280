import Testing

@testable import Transport

@Suite("What waits for peers that do not read")
struct SendBudgetTests {
  private let overhead = SendBudget.overhead

  private func taken(
    _ budget: inout SendBudget, _ bytes: Int, _ peer: UInt8, _ expected: Bool = true, at place: SourceLocation = #_sourceLocation
  ) {
    let isTaken = budget.take(bytes, for: [peer])
    #expect(isTaken == expected, sourceLocation: place)
  }

  @Test("a peer that does not read is sent no more than its share, and again when it has read")
  func share() {
    var budget = SendBudget(peerLimit: 3 * (100 + overhead), totalLimit: 1 << 20)
    for _ in 0..<3 { taken(&budget, 100, 1) }
    taken(&budget, 100, 1, false)
    budget.giveBack(100, for: [1])
    taken(&budget, 100, 1)
    taken(&budget, 0, 1, false)
  }

  @Test("whoever reads is answered, however much waits for others and however long the answer is")
  func silencesNobody() {
    var budget = SendBudget(peerLimit: 1000, totalLimit: 2000)
    taken(&budget, 1_000_000, 1)
    for peer in UInt8(2)..<20 { taken(&budget, 900, peer) }
    taken(&budget, 1, 2, false)
    budget.giveBack(900, for: [2])
    taken(&budget, 900, 2)
  }

  @Test("what was given back counts no more")
  func nothingLeft() {
    var budget = SendBudget()
    for bytes in 0..<100 { taken(&budget, bytes, UInt8(bytes % 7)) }
    for bytes in 0..<100 { budget.giveBack(bytes, for: [UInt8(bytes % 7)]) }
    #expect(budget.total == 0)
  }
}

@Suite("Events that peers can make happen without end")
struct EventLimitTests {
  @Test("so many a minute are told, the last of them as such")
  func perMinute() {
    var limit = EventLimit(3)
    let told = (0..<5).map { limit.judge(at: $0) }
    #expect(told == [.told, .told, .lastTold, .untold, .untold])
    let later = [EventLimit.interval - 1, EventLimit.interval].map { limit.judge(at: $0) }
    #expect(later == [.untold, .told])
  }
}
