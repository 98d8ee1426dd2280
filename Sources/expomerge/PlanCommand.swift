import ArgumentParser
import Checkpoint
import Coordinator
import Deltas
import Diagnostics
import Digests
import Figures
import Kernels
import Planning
import SystemPackage

struct PlanCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plan", abstract: "Show what a merge would read and write; write nothing.")

  @OptionGroup(title: "The pair") var pair: PairOptions

  @Option(name: [.short, .long], help: ArgumentHelp("The folder that merge would make.", valueName: "dir"), completion: .directory)
  var output: String?

  @OptionGroup(title: "Running") var running: RunOptions
  @OptionGroup(title: "Printing") var console: Console

  func run() throws {
    try console.reporting { () throws(Failure) in
      let plan = try pair.plan()
      let display = ProgressDisplay(console: console)
      let look = try QuickLook.estimate(plan, running.context(display, cancellation: Cancellation()))
      display.finish()
      show(plan, look)
      console.emit(PlanMessage(plan, look))
      console.warn(
        plan.aligned.warnings + plan.sft.warnings + plan.skippedWarnings
          + DeltaJudgement.warnings(about: look))
    }
  }

  private func show(_ plan: Plan, _ look: DeltaSums) {
    func row(_ name: String, _ text: String) { console.result(Format.padded(name, 14) + text) }
    for (name, checkpoint) in [("aligned", plan.aligned), ("sft", plan.sft)] {
      let bytes = checkpoint.tensors.reduce(0) { $0 + $1.range.count }
      row(
        name,
        "\(checkpoint.folder.string): \(Format.plural(checkpoint.tensors.count, "tensor")), \(Format.bytes(bytes)) in \(Format.plural(checkpoint.files.count, "file"))"
      )
    }
    let recipe = plan.recipe
    row("recipe", "alpha \(recipe.alphaText), \(recipe.arithmetic.rawValue), dtype \(recipe.dtype?.rawValue ?? "as aligned")")
    showRules(plan)
    row("extrapolated", Self.byDType(plan.pairs.filter(\.isExtrapolated)))
    let kept = plan.pairs.filter { $0.treatment == .keep }
    if !kept.isEmpty { row("kept", "\(Self.byDType(kept)): alpha 0") }
    let copied = plan.pairs.filter { $0.treatment == .copy }
    if !copied.isEmpty { row("copied", "\(Self.byDType(copied)): not floating-point") }
    row("reads", Format.bytes(plan.inputBytes))
    row(
      "writes",
      "\(Format.bytes(plan.outputBytes)) in \(Format.plural(plan.outputs.count, "file")) and \(Format.plural(plan.shardCount, "shard"))\(output.map { ", to \($0)" } ?? "")"
    )
    if plan.variants.count > 1 { row("", "a checkpoint of each alpha: \(plan.variants.map(\.folder).joined(separator: ", ")); each has") }
    let width = plan.files.map(\.name.count).max() ?? 0
    let shown = console.verbose ? plan.files.count : 20
    for file in plan.files.prefix(shown) {
      row("", "\(Format.padded(file.name, width))  \(Format.right(Format.bytes(file.size), 8))  \(Format.plural(file.pairs.count, "tensor"))")
    }
    if plan.files.count > shown { row("", "... and \(plan.files.count - shown) more (all with --verbose)") }
    let companions = plan.aligned.companions.map(\.path)
    row("also copies", companions.isEmpty ? "nothing" : companions.joined(separator: ", "))
    for note in plan.notes { row("note", note) }
    if let norm = look.relativeNorm, let cosine = look.cosine {
      row("change", "relative norm about \(Format.ratio(norm)), cosine \(decimal(min(cosine, 1), 6)), from a look at a few pages")
    }
    row("fingerprint", plan.fingerprint.description)
  }

  /// Which tensors have which alpha.
  private func showRules(_ plan: Plan) {
    guard !plan.recipe.rules.isEmpty else { return }
    for use in RuleUse.all(of: plan) {
      let alphas = use.alphas.lowerBound == use.alphas.upperBound ? "\(use.alphas.lowerBound)" : "\(decimal(use.alphas.lowerBound, 4)) to \(decimal(use.alphas.upperBound, 4))"
      console.result("  \(Format.padded(use.name, 12))\(Format.plural(use.pairs.count, "tensor")), alpha \(alphas): \(use.conditions)")
      let shown = console.verbose ? use.pairs.count : 2
      for pair in use.pairs.prefix(shown).map({ plan.pairs[$0] }) { console.result("                \(pair.name)  \(decimal(pair.alpha, 6))") }
      if use.pairs.count > shown { console.result("                ... and \(use.pairs.count - shown) more (all with --verbose)") }
    }
  }

  private static func byDType(_ pairs: [TensorPair]) -> String {
    let counts = Dictionary(grouping: pairs) { pair in
      pair.aligned.encoding == pair.dtype.rawValue ? pair.dtype.rawValue : "\(pair.aligned.encoding) to \(pair.dtype.rawValue)"
    }
    let parts = counts.mapValues(\.count).sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }
    return "\(Format.plural(pairs.count, "tensor")) (\(parts.joined(separator: ", ")))"
  }
}

private struct PlanMessage: Encodable {
  struct File: Encodable {
    let name: String
    let bytes: Int
    let tensors: Int
    let shards: Int
  }

  struct Side: Encodable {
    let path: String
    let files: Int
    let tensors: Int
    let bytes: Int

    init(_ checkpoint: Checkpoint) {
      path = checkpoint.folder.string
      files = checkpoint.files.count
      tensors = checkpoint.tensors.count
      bytes = checkpoint.tensors.reduce(0) { $0 + $1.range.count }
    }
  }

  let type = "plan"
  let aligned: Side
  let sft: Side
  let recipe: Recipe
  let fingerprint: String
  let rules: [RuleUse]
  let files: [File]
  let shards: Int
  let extrapolatedTensors: Int
  let copiedTensors: Int
  let parameters: Int
  let bytesRead: Int
  let bytesWritten: Int
  let companions: [String]
  let notes: [String]
  let estimatedRelativeNorm: Double?
  let estimatedCosine: Double?

  init(_ plan: Plan, _ look: DeltaSums) {
    aligned = Side(plan.aligned)
    sft = Side(plan.sft)
    recipe = plan.recipe
    rules = plan.recipe.rules.isEmpty ? [] : RuleUse.all(of: plan)
    fingerprint = plan.fingerprint.description
    files = plan.files.map { File(name: $0.name, bytes: $0.size, tensors: $0.pairs.count, shards: $0.shardCount) }
    shards = plan.shardCount
    copiedTensors = plan.pairs.count { $0.treatment == .copy }
    extrapolatedTensors = plan.pairs.count(where: \.isExtrapolated)
    parameters = plan.parameterCount
    bytesRead = plan.inputBytes
    bytesWritten = plan.outputBytes
    companions = plan.aligned.companions.map(\.path)
    notes = plan.notes
    estimatedRelativeNorm = look.relativeNorm
    estimatedCosine = look.cosine
  }
}
