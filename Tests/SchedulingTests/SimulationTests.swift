import Foundation
import Simulation
import Synchronization
import Testing

/// `EXPOMERGE_SEEDS=1000000` runs more of them, `EXPOMERGE_SEED=17` one, with its history.
@Suite struct SimulationTests {
  private static func number(_ name: String) -> Int? { ProcessInfo.processInfo.environment[name].flatMap { Int($0) } }

  @Test("whatever goes wrong, every shard is committed once, with the right digest, and little is done twice")
  func seeds() {
    if let seed = Self.number("EXPOMERGE_SEED") {
      var cluster = SimulatedCluster(seed: UInt64(seed), keepsHistory: true)
      let outcome = cluster.run()
      print(outcome.history.joined(separator: "\n"))
      #expect(outcome.problems.isEmpty)
      return
    }
    let count = Self.number("EXPOMERGE_SEEDS") ?? 2000
    let next = Atomic(0)
    let bad = Mutex([UInt64]())
    DispatchQueue.concurrentPerform(iterations: ProcessInfo.processInfo.activeProcessorCount) { _ in
      while true {
        let seed = next.wrappingAdd(1, ordering: .relaxed).oldValue
        guard seed < count else { return }
        var cluster = SimulatedCluster(seed: UInt64(seed))
        if !cluster.run().problems.isEmpty { bad.withLock { $0.append(UInt64(seed)) } }
      }
    }
    let failures = bad.withLock { $0.sorted() }
    for seed in failures.prefix(3) {
      var cluster = SimulatedCluster(seed: seed, keepsHistory: true)
      let outcome = cluster.run()
      Issue.record("seed \(seed): \(outcome.problems)\n\(outcome.history.suffix(400).joined(separator: "\n"))")
    }
    #expect(failures.isEmpty, "replay with EXPOMERGE_SEED=\(failures.first ?? 0)")
  }

  @Test("a seed gives the same history every time")
  func repeatable() {
    for seed in UInt64(0)..<20 {
      var (one, other) = (SimulatedCluster(seed: seed, keepsHistory: true), SimulatedCluster(seed: seed, keepsHistory: true))
      let (first, second) = (one.run(), other.run())
      #expect(first.history == second.history)
      #expect(first.history.count > 10)
    }
  }
}
