import Deltas
public import Diagnostics
import Figures
import Journal
import Kernels
import Planning
import Report
import SystemPackage
import Threads

extension Problem.Code {
  public static let reportNotWritten = Self("report-not-written")
}

extension Report {
  /// Of a merge that is complete but for its name.
  ///
  /// - Parameters:
  ///   - manifests: of each variant.
  ///   - variant: the one that the page is for; nil for all.
  ///   - statistics: of each variant.
  ///   - shards: as the journal has them.
  init(
    _ manifests: [Manifest], of variant: Int?, plan: Plan, statistics all: [MergeStatistics], output: FilePath, command: String,
    warnings: [Problem], shards: [ShardRecord]
  ) {
    let (manifest, statistics) = (manifests[variant ?? 0], all[variant ?? 0])
    let shown = variant.map { [$0] } ?? Array(manifests.indices)
    let recipe = variant == nil ? plan.recipe : manifest.recipe
    let added = shown.map { Self.added(plan, $0, all[$0]) }
    var figures = [
      Row("alpha", recipe.alphaText), Row("parameters", Format.count(plan.parameterCount)), Row("tensors", "\(plan.pairs.count)"),
      Row("written", Format.bytes(plan.outputBytes / plan.variants.count * shown.count)),
    ]
    var facts = recipe.rows + recipe.rules.prefix(20).map { Row("rule", $0.text) }
    facts += [Row("aligned", manifest.aligned.path), Row("sft", manifest.sft.path), Row("command", command)]
    if shown.count == 1 {
      figures += [Row("added by this merge", added[0]), Row("results too large for the dtype", "\(statistics.total.overflows)")]
      facts.append(Row("weights", "\(manifest.weights) (XXH3-128)"))
    }
    for variant in shown where shown.count > 1 {
      let overflows = "\(all[variant].total.overflows) results too large for the dtype"
      let weights = "weights \(manifests[variant].weights) (XXH3-128)"
      facts.append(Row("with alpha \(plan.variants[variant].alpha)", "\(added[variant]) added, \(overflows), \(weights)"))
    }
    facts += plan.notes.prefix(20).map { Row("note", $0) }
    let tensors = plan.pairs.indices.filter { plan.pairs[$0].extrapolatedElements > 0 }.map { index in
      let sums = statistics.tensors[index]
      // All that workers say they have seen.
      return TensorDelta(plan.pairs[index].name, DeltaMeasure(sums), elements: Int(clamping: sums.elements))
    }
    let summary = DeltaSummary(tensors)
    let (aligned, sft) = (FilePath(manifest.aligned.path), FilePath(manifest.sft.path))
    self.init(
      title: output.lexicallyNormalized().lastComponent?.string ?? "merged",
      subtitle: "\(ModelCard.modelName(of: aligned)), extrapolated away from \(ModelCard.modelName(of: sft)): out = aligned + alpha * (aligned - sft)",
      summary: summary, verdict: DeltaJudgement.verdict(on: statistics.total),
      problems: warnings + DeltaFindings.problems(in: summary),
      figures: figures, recipe: facts,
      alphas: plan.alphas(of: shown),
      work: WorkLog(
        shards.map { .init(worker: $0.worker, bytes: $0.bytes, milliseconds: $0.milliseconds, finishedAt: $0.finishedAt) }),
      footer: "Written by expomerge \(manifest.version), \(Format.time(wallMilliseconds())).")
  }

  /// The norm of what was added to all tensors, each by its own alpha, over the norm of aligned's weights.
  private static func added(_ plan: Plan, _ variant: Int, _ statistics: MergeStatistics) -> String {
    let squares = zip(plan.pairs, statistics.tensors).reduce(0) { squares, part in
      let alpha = plan.alpha(of: part.0, in: variant)
      return squares + alpha * alpha * part.1.deltaSquared
    }
    let weights = statistics.total.alignedSquared
    return weights > 0 ? Format.percentage((squares / weights).squareRoot()) : "-"
  }
}
