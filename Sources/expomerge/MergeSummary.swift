import Coordinator
import Diagnostics
import Digests
import Figures
import Kernels
import Planning
import Report
import SystemPackage

/// What a merge says at its end.
struct MergeSummary {
  let plan: Plan
  let outcome: MergeJob.Outcome
  let seconds: Double
  let output: String

  func show(_ console: Console) {
    let total = outcome.statistics.total
    let copied = plan.pairs.count { !$0.isExtrapolated }
    if outcome.wasComplete {
      console.result("\(output) is complete already, with this recipe and of this pair: nothing was done")
      console.result("  expomerge verify reads it again; --overwrite merges it again")
      return emit(console, copied)
    }
    var tensors = Format.plural(plan.pairs.count, "tensor")
    if copied > 0 { tensors += " (\(copied) copied)" }
    console.result(
      "Merged \(tensors), \(Format.count(plan.parameterCount)) parameters, into \(output): \(Format.bytes(plan.outputBytes)) in \(Format.plural(plan.outputs.count, "file"))"
    )
    if plan.variants.count > 1 { console.result("  a checkpoint of each alpha: \(plan.variants.map(\.folder).joined(separator: ", "))") }
    console.result(
      "  read \(Format.bytes(plan.inputBytes)), wrote \(Format.bytes(plan.outputBytes)) in \(decimal(seconds, seconds < 10 ? 2 : 0)) s: \(Format.rate(Double(plan.outputBytes) / seconds)) of output"
    )
    if outcome.resumed > 0 {
      let shards = "\(Format.count(outcome.resumed)) of \(Format.plural(plan.shardCount, "shard"))"
      console.result("  went on with an interrupted merge: \(shards) had been done, \(Format.count(outcome.redone)) of them had to be done again")
    }
    if let line = Self.change(total) { console.result("  change: \(line)") }
    let modules = outcome.statistics.modules
    if console.verbose {
      let width = modules.map(\.name.count).max() ?? 0
      for module in modules {
        if let change = Self.change(module.sums) { console.result("  \(Format.padded(module.name, width))  \(change)") }
      }
    } else if modules.count > 1 {
      console.result("  most changed:  \(Self.list(modules.prefix(3)))")
      console.result("  least changed: \(Self.list(modules.suffix(3).reversed()))")
    }
    if !outcome.warnings.contains(where: { $0.code == .reportNotWritten }) {
      console.result("  report: \(FilePath(output).appending(Report.fileName).string)")
    }
    for note in plan.notes { console.result("  note: \(note)") }
    console.warn(outcome.warnings)
    emit(console, copied)
  }

  private func emit(_ console: Console, _ copied: Int) {
    let (total, modules) = (outcome.statistics.total, outcome.statistics.modules)
    let checkpoints = zip(plan.variants, outcome.manifests).map { variant, manifest in
      Message.Checkpoint(
        alpha: variant.alpha, folder: variant.folder(in: outcome.output).string, weights: manifest.weights.description,
        overflows: manifest.total.overflows, nonFiniteOutputs: manifest.total.nonFiniteOutputs)
    }
    console.emit(
      Message(
        type: "merged", output: outcome.output.string, files: plan.outputs.count, tensors: plan.pairs.count,
        copiedTensors: copied, parameters: plan.parameterCount, bytesRead: plan.inputBytes,
        bytesWritten: plan.outputBytes, checkpoints: checkpoints, shards: plan.shardCount, resumedShards: outcome.resumed,
        redoneShards: outcome.redone, wasComplete: outcome.wasComplete, seconds: seconds, plan: plan.fingerprint.description, relativeNorm: total.relativeNorm, cosine: total.cosine,
        unchanged: total.unchanged, nonFiniteInputs: total.nonFiniteInputs, notes: plan.notes,
        modules: modules.map { .init(name: $0.name, relativeNorm: $0.sums.relativeNorm, cosine: $0.sums.cosine) }))
  }

  /// How far apart the pair is, in one line.
  static func change(_ sums: DeltaSums) -> String? {
    guard let norm = sums.relativeNorm else { return nil }
    var parts = ["relative norm \(Format.ratio(norm))"]
    if let cosine = sums.cosine { parts.append("cosine \(decimal(min(cosine, 1), 6))") }
    parts.append("\(Format.percent(Int(sums.unchanged), of: Int(sums.elements))) of elements unchanged")
    parts.append("largest \(Format.ratio(sums.largestDelta))")
    return parts.joined(separator: ", ")
  }

  private static func list(_ modules: some Sequence<MergeStatistics.Module>) -> String {
    modules.map { "\($0.name) \(Format.ratio($0.sums.relativeNorm ?? 0))" }.joined(separator: ", ")
  }

  private struct Message: Encodable {
    struct Module: Encodable {
      let name: String
      let relativeNorm: Double?
      let cosine: Double?
    }

    /// One of each alpha.
    struct Checkpoint: Encodable {
      let alpha: Double
      let folder: String
      let weights: String
      let overflows: UInt64
      let nonFiniteOutputs: UInt64
    }

    let type: String
    let output: String
    let files: Int
    let tensors: Int
    let copiedTensors: Int
    let parameters: Int
    let bytesRead: Int
    let bytesWritten: Int
    let checkpoints: [Checkpoint]
    let shards: Int
    /// Done by an earlier run, and of these computed again.
    let resumedShards: Int
    let redoneShards: Int
    /// Whether nothing was left to do.
    let wasComplete: Bool
    let seconds: Double
    let plan: String
    let relativeNorm: Double?
    let cosine: Double?
    let unchanged: UInt64
    let nonFiniteInputs: UInt64
    let notes: [String]
    let modules: [Module]
  }
}
