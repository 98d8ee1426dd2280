import Planning
import Testing

@testable import Scheduling

@Suite struct PendingShardsTests {
  @Test("it holds what a set would hold, whatever is put in and taken out", arguments: UInt64(0)..<40)
  func againstSet(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    var bounds = [0]
    for _ in 0..<Int.random(in: 1...8, using: &random) {
      bounds.append(bounds.last! + Int.random(in: 1...30, using: &random))
    }
    let total = bounds.last!
    let stretches = zip(bounds, bounds.dropFirst()).map { $0..<$1 }
    var pending = PendingShards(stretches: stretches)
    var model: Set<Int> = []
    for _ in 0..<600 {
      switch Int.random(in: 0..<10, using: &random) {
      case 0:
        // A run of shards, as far as none of them is in.
        let start = Int.random(in: 0..<total, using: &random)
        let end = (start..<total).first { model.contains($0) } ?? total
        let run = start..<Int.random(in: start...end, using: &random)
        pending.insert(run)
        model.formUnion(run)
      case 1...4:
        let shard = Int.random(in: 0..<total, using: &random)
        if model.insert(shard).inserted { pending.insert(shard) }
      default:
        let shard = Int.random(in: 0..<total + 3, using: &random)
        #expect(pending.remove(shard) == (model.remove(shard) != nil))
      }
      check(pending, model, total)
    }
  }

  private func check(_ pending: PendingShards, _ model: Set<Int>, _ total: Int) {
    #expect(pending.count == model.count)
    #expect((0..<total + 3).filter { pending.contains($0) } == model.sorted())
    for stretch in pending.stretches {
      #expect(stretch.free.flatMap { Array($0) } == model.sorted().filter(stretch.shards.contains))
      #expect(stretch.free.allSatisfy { !$0.isEmpty })
      // Neighbours are one interval.
      #expect(zip(stretch.free, stretch.free.dropFirst()).allSatisfy { $0.upperBound < $1.lowerBound })
    }
  }

  @Test("every shard is in the stretch that has it")
  func stretchOfShard() {
    let pending = PendingShards(stretches: [0..<3, 3..<4, 4..<9])
    #expect((0..<10).map { pending.stretch(of: $0) } == [0, 0, 0, 1, 2, 2, 2, 2, 2, 3])
  }

  @Test("a stretch is begun at its first shard, or in the middle of the largest interval where others work")
  func beginning() {
    var pending = PendingShards(stretches: [0..<20])
    #expect(pending.beginning(in: 0, others: 0) == nil)
    pending.insert(2..<4)
    pending.insert(10..<18)
    #expect(pending.beginning(in: 0, others: pending.stretches[0].walkers) == 2)
    pending.addWalker(at: 5, 1)
    #expect(pending.beginning(in: 0, others: pending.stretches[0].walkers) == 14)
    pending.addWalker(at: 7, -1)
    #expect(pending.beginning(in: 0, others: pending.stretches[0].walkers) == 2)
    // Behind the last shard, and nowhere at all.
    pending.addWalker(at: 20, 1)
    pending.addWalker(at: nil, 1)
    #expect(pending.stretches[0].walkers == 0)
  }
}
