import Planning

/// What a seed stands for: jobs, workers, the network's manners, and what goes wrong.
public struct Scenario: Sendable {
  struct Worker: Sendable {
    let slots: Int
    /// Milliseconds of one shard.
    let shardTime: Double
    let streamsInputs: Bool
    let streamsOutput: Bool
    /// Of a thousand shards, how many it reports with a wrong digest; streamed output only, as only that is seen.
    let lies: Int
    let joinsAt: Double
  }

  struct Job: Sendable {
    let shards: Int
    let files: Int
    let priority: Int
    let submittedAt: Double
    /// Output files whose SHA-256 is wanted.
    let sums: Int
  }

  enum Fault: Sendable {
    case kill(worker: Int)
    case freeze(worker: Int, milliseconds: Double)
    case cut(worker: Int, toCoordinator: Bool, toWorker: Bool, milliseconds: Double)
    case outOfSpace(worker: Int)
    case failInput(worker: Int)
    case drain(worker: Int)
    /// Power is lost with it, or only the process.
    case killCoordinator(downMilliseconds: Double, losesPower: Bool)
  }

  let workers: [Worker]
  let jobs: [Job]
  let faults: [(at: Double, fault: Fault)]
  /// Of a thousand messages.
  let lost: Int
  let doubled: Int
  /// Milliseconds; messages overtake each other within the spread.
  let delay: Double
  let spread: Double
  /// Until a result is safe, milliseconds.
  let commitTime: Double
  let passesThroughCodec: Bool

  public init(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    func pick<Value>(_ values: Value...) -> Value { values[Int(random.next() % UInt64(values.count))] }
    func chance(_ percent: Int) -> Bool { random.next() % 100 < UInt64(percent) }
    func within(_ range: ClosedRange<Double>) -> Double { Double.random(in: range, using: &random) }

    let isCalm = chance(10)
    workers = (0..<Int.random(in: 1...6, using: &random)).map { index in
      let streams = chance(40)
      return Worker(
        slots: pick(1, 1, 2, 4, 8), shardTime: chance(10) ? within(5000...20000) : within(20...1500),
        streamsInputs: streams || chance(10), streamsOutput: streams, lies: streams && !isCalm && chance(15) ? 200 : 0,
        joinsAt: index == 0 ? 0 : chance(30) ? within(0...20_000) : 0)
    }
    jobs = (0..<pick(1, 1, 1, 2, 3)).map { index in
      let (shards, files) = (Int.random(in: 1...60, using: &random), Int.random(in: 1...5, using: &random))
      return Job(
        shards: shards, files: files, priority: pick(0, 0, 1, 5), submittedAt: index == 0 ? 0 : within(0...10_000),
        sums: chance(30) ? min(files, shards) : 0)
    }
    var faults: [(at: Double, fault: Fault)] = []
    if !isCalm {
      for _ in 0..<Int.random(in: 0...8, using: &random) {
        let worker = Int(random.next() % UInt64(workers.count))
        let fault: Fault =
          switch random.next() % 16 {
          case 0...3: .kill(worker: worker)
          case 4...6: .freeze(worker: worker, milliseconds: within(500...15_000))
          case 7...8: .cut(worker: worker, toCoordinator: true, toWorker: false, milliseconds: within(500...12_000))
          case 9...10: .cut(worker: worker, toCoordinator: false, toWorker: true, milliseconds: within(500...12_000))
          case 11: .cut(worker: worker, toCoordinator: true, toWorker: true, milliseconds: within(500...12_000))
          case 12: .outOfSpace(worker: worker)
          case 13: .failInput(worker: worker)
          case 14: .drain(worker: worker)
          default: .killCoordinator(downMilliseconds: within(10...10_000), losesPower: chance(50))
          }
        faults.append((within(0...30_000), fault))
      }
    }
    self.faults = faults
    lost = isCalm ? 0 : pick(0, 0, 5, 50, 150)
    doubled = isCalm ? 0 : pick(0, 0, 20, 100)
    delay = pick(0.1, 1, 20, 100)
    spread = isCalm ? 0 : pick(0, 1, 50, 400)
    commitTime = pick(0, 1, 30)
    passesThroughCodec = chance(2)
  }

  /// Whether nothing goes wrong, so that no work may be done twice but for the sake of stragglers.
  var isCalm: Bool { faults.isEmpty && lost == 0 && doubled == 0 && spread == 0 && workers.allSatisfy { $0.lies == 0 } }
}
