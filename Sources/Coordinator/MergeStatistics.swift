import Checkpoint
import Deltas
public import Diagnostics
public import Kernels
import Planning
import Worker

extension Problem.Code {
  public static let copiedTensorDiffers = Self("copied-tensor-differs")
}

/// What a merge changed: totals by tensor, by module, and of everything.
public struct MergeStatistics: Sendable, Equatable {
  /// All layers' tensors of one kind, as in `self_attn.q_proj`.
  public struct Module: Sendable, Equatable {
    public let name: String
    public let sums: DeltaSums
  }

  /// By pair of the plan.
  public let tensors: [DeltaSums]
  public let total: DeltaSums
  /// Largest relative change first; modules of zeros are left out.
  public let modules: [Module]
  /// Names of copied tensors that differ between the pair, with the number of bytes.
  public let differingCopies: [(name: String, bytes: UInt64)]

  /// - Parameters:
  ///   - results: of all shards, in the order of the plan, so that the sums do not depend on scheduling.
  ///   - variant: index into the plan's variants.
  init(_ results: [ShardResult], plan: Plan, variant: Int) {
    var tensors = Array(repeating: DeltaSums(), count: plan.pairs.count)
    var differing = Array(repeating: UInt64(0), count: plan.pairs.count)
    for result in results {
      for segment in result.segments {
        tensors[segment.pair] += segment.sums(of: variant)
        differing[segment.pair] += segment.differingBytes
      }
    }
    self.init(tensors: tensors, differing: differing, plan: plan)
  }

  /// - Parameters:
  ///   - tensors: sums by pair of the plan.
  ///   - differing: differing bytes of copied tensors, by pair.
  init(tensors: [DeltaSums], differing: [UInt64], plan: Plan) {
    var total = DeltaSums()
    var byModule: [String: DeltaSums] = [:]
    var copies: [(String, UInt64)] = []
    for (index, pair) in plan.pairs.enumerated() {
      total += tensors[index]
      byModule[TensorRole(of: pair.name).module, default: DeltaSums()] += tensors[index]
      if differing[index] > 0 { copies.append((pair.name, differing[index])) }
    }
    self.tensors = tensors
    self.total = total
    differingCopies = copies
    modules = byModule.filter { $0.value.relativeNorm != nil }
      .map { Module(name: $0.key, sums: $0.value) }
      .sorted { ($1.sums.relativeNorm ?? 0, $0.name) < ($0.sums.relativeNorm ?? 0, $1.name) }
  }

  public static func == (left: MergeStatistics, right: MergeStatistics) -> Bool {
    left.tensors == right.tensors && left.total == right.total && left.modules == right.modules
      && left.differingCopies.elementsEqual(right.differingCopies, by: ==)
  }
}
