import Diagnostics
import Digests
import Kernels
import Planning
import Synchronization
import SystemPackage
import TestSupport
import Testing
import Threads

@testable import Journal

extension TemporaryFolder {
  var journal: FilePath { self("journal.sqlite") }

  /// A copy of a journal that is open, as a crash would leave it.
  func crashed(changingLog change: (inout [UInt8]) -> Void = { _ in }) throws -> TemporaryFolder {
    let copy = TemporaryFolder()
    copy.write(try #require(Self.contents(journal)), to: "journal.sqlite")
    var log = try #require(Self.contents(self("journal.sqlite-wal")))
    change(&log)
    copy.write(log, to: "journal.sqlite-wal")
    return copy
  }
}

func job(_ number: Int) -> JobRecord {
  JobRecord(
    number: number, priority: -3, submittedAt: 1_795_000_000_123,
    recipe: Recipe(alpha: 0.1, arithmetic: .reference, dtype: .bf16, vocabulary: .overlap), aligned: "/models/aligned é\n",
    sft: "/models/sft", output: "/models/out", options: #"{"sync":"full"}"#, plan: digest(number),
    alignedFiles: [InputFingerprint(name: "model.safetensors", bytes: .max, header: digest(1), pages: digest(2))],
    sftFiles: [], nonce: "00ff")
}

func digest(_ number: Int) -> Digest128 {
  Digest128(high: UInt64(bitPattern: Int64(number)) &* 0x9E37_79B9_7F4A_7C15, low: UInt64(bitPattern: Int64(~number)))
}

func shard(_ number: Int, attempt: Int = 1, segments: Int = 3) -> ShardRecord {
  ShardRecord(
    shard: number, digests: [digest(number)], worker: "worker-7", attempt: attempt, epoch: 2, bytes: 64 << 20,
    milliseconds: 25, finishedAt: 1_795_000_000_456, segments: (0..<segments).map { segment($0 + number) })
}

func segment(_ number: Int) -> ShardRecord.Segment {
  var sums = DeltaSums()
  sums.deltaSquared = 1 / Double(number + 1)
  sums.dot = -0.0
  sums.elements = 1 << 20
  return .init(pair: number, sums: sums, differingBytes: UInt64(number))
}

/// All that a segment holds, as bits: NaN is not equal to itself.
func bits(_ segment: ShardRecord.Segment) -> [UInt64] {
  let sums = segment.sums
  return [
    UInt64(segment.pair), sums.deltaSquared.bitPattern, sums.alignedSquared.bitPattern, sums.sftSquared.bitPattern,
    sums.dot.bitPattern, sums.largestDelta.bitPattern, sums.elements, sums.unchanged, sums.nonFiniteInputs,
    sums.nonFiniteOutputs, sums.overflows, segment.differingBytes,
  ]
}

typealias Outcome = Result<Void, Failure>

extension Journal {
  /// Waits until a shard is recorded.
  func record(_ shard: ShardRecord, of job: Int) async throws {
    try await withCheckedContinuation { (done: CheckedContinuation<Outcome, Never>) in
      record(shard, of: job) { done.resume(returning: $0) }
    }.get()
  }

  /// Keeps the journal's thread in a completion until `release` is called, so that what is asked for meanwhile waits.
  func hold(of job: Int) -> Hold {
    let hold = Hold()
    record(shard(0), of: job) { _ in hold.enter() }
    hold.waitUntilEntered()
    return hold
  }
}

final class Hold: Sendable {
  private let state = Monitor((isEntered: false, isReleased: false))

  func enter() {
    state.update { $0.isEntered = true }
    state.wait { $0.isReleased ? () : nil }
  }

  func waitUntilEntered() { state.wait { $0.isEntered ? () : nil } }
  func release() { state.update { $0.isReleased = true } }
}

/// Outcomes in the order of their arrival.
final class Outcomes: Sendable {
  private let list = Monitor([(shard: Int, failure: Failure?)]())

  func add(_ shard: Int) -> @Sendable (Outcome) -> Void {
    { outcome in
      let failure: Failure? = if case .failure(let failure) = outcome { failure } else { nil }
      self.list.update { $0.append((shard, failure)) }
    }
  }

  func wait(for count: Int) -> [(shard: Int, failure: Failure?)] {
    list.wait { $0.count >= count ? $0 : nil }
  }

  var now: [(shard: Int, failure: Failure?)] { list.update(waking: .nobody) { $0 } }
}

/// The problem that an operation fails with.
func problem(_ body: () throws -> Void) -> (category: Failure.Category, problem: Problem)? {
  do {
    try body()
  } catch let failure as Failure {
    return (failure.category, failure.problems[0])
  } catch {}
  return nil
}
