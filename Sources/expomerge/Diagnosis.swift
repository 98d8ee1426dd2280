import Coordinator
import Deltas
import Diagnostics
import Figures
import Kernels
import Planning
import Report
import SystemPackage
import Threads

/// What a survey of a pair comes to, as text, as JSON and as a report.
struct Diagnosis {
  let plan: Plan
  let survey: DeltaSurvey
  let verdict: Verdict
  /// What stands out.
  let problems: [Problem]

  init(plan: Plan, survey: DeltaSurvey) {
    self.plan = plan
    self.survey = survey
    let sums = survey.summary.total.sums
    verdict = DeltaJudgement.verdict(on: sums)
    problems = DeltaJudgement.warnings(about: sums, overflows: survey.isSample ? nil : [])
      + DeltaFindings.problems(in: survey.summary, tails: survey.tails)
  }

  private var total: DeltaMeasure { survey.summary.total }
  private var seen: String {
    "\(Format.count(survey.seen)) of \(Format.count(survey.elements)) elements (\(Format.percent(survey.seen, of: survey.elements)))"
  }

  // MARK: text

  func show(_ console: Console) {
    func row(_ name: String, _ text: String) { console.result(Format.padded(name, 12) + text) }
    row("verdict", verdict.title)
    for reason in verdict.reasons { row("", "- \(reason)") }
    if !verdict.alphas.isEmpty { row("alpha", "usually tried: \(verdict.alphaList)") }
    if let limit = total.f16Limit, limit < DeltaJudgement.conceivableAlpha {
      row("F16", "results would be infinite from alpha \(Format.ratio(limit)) on")
    }
    if let change = MergeSummary.change(total.sums) { row("change", change) }
    if let kurtosis = total.kurtosis { row("kurtosis", "\(decimal(kurtosis, 1)), where 3 is a normal distribution") }
    row("looked at", seen)
    for note in plan.notes { row("note", note) }
    show("by kind", survey.summary.kinds, console)
    show("by projection", survey.summary.projections, console)
    if console.verbose {
      show("by layer", survey.summary.layers.map { .init(name: "\($0.layer)", measure: $0.measure) }, console)
      show("by tensor", survey.summary.tensors.map { .init(name: $0.name, measure: $0.measure) }, console)
    }
  }

  private func show(_ title: String, _ groups: [DeltaSummary.Group], _ console: Console) {
    let changes = groups.compactMap { group in MergeSummary.change(group.measure.sums).map { (group, $0) } }
    if !changes.isEmpty { console.result(title) }
    let width = changes.map(\.0.name.count).max() ?? 0
    for (group, change) in changes {
      let kurtosis = group.measure.kurtosis.map { ", kurtosis \(decimal($0, 1))" } ?? ""
      console.result("  \(Format.padded(group.name, width))  \(change)\(kurtosis)")
    }
  }

  // MARK: JSON

  /// One object for each tensor, and one for all.
  func emit(_ console: Console) {
    guard console.json else { return }
    for tensor in survey.summary.tensors { console.emit(Tensor(name: tensor.name, seen: tensor.seen, change: Change(tensor.measure))) }
    func changes(_ groups: [DeltaSummary.Group]) -> [NamedChange] {
      groups.map { NamedChange(name: $0.name, change: Change($0.measure)) }
    }
    let summary = survey.summary
    console.emit(
      Message(
        verdict: verdict, seen: survey.seen, change: Change(summary.total), f16Limit: summary.total.f16Limit, kinds: changes(summary.kinds),
        projections: changes(summary.projections), modules: changes(summary.modules),
        layers: summary.layers.map { NamedChange(name: "\($0.layer)", change: Change($0.measure)) }, notes: plan.notes))
  }

  private struct Change: Encodable {
    let elements: UInt64
    let relativeNorm: Double?
    let cosine: Double?
    let unchangedShare: Double?
    let largestDelta: Double
    let kurtosis: Double?

    init(_ measure: DeltaMeasure) {
      elements = measure.sums.elements
      relativeNorm = measure.relativeNorm
      cosine = measure.cosine
      unchangedShare = measure.unchangedShare
      largestDelta = measure.sums.largestDelta
      kurtosis = measure.kurtosis
    }
  }

  private struct NamedChange: Encodable {
    let name: String
    let change: Change
  }

  private struct Tensor: Encodable {
    let type = "tensor"
    let name: String
    let seen: Int
    let change: Change
  }

  private struct Message: Encodable {
    let type = "diagnosis"
    let verdict: Verdict
    let seen: Int
    let change: Change
    /// The alpha from which on a result would be infinite in F16.
    let f16Limit: Double?
    let kinds: [NamedChange]
    let projections: [NamedChange]
    let modules: [NamedChange]
    let layers: [NamedChange]
    let notes: [String]
  }

  // MARK: HTML

  func report(sft: String, aligned: String) -> Report {
    Report(
      title: "Diagnosis of a pair", subtitle: "aligned: \(aligned); sft: \(sft)", summary: survey.summary, verdict: verdict,
      problems: problems,
      figures: [
        .init("parameters", Format.count(plan.parameterCount)), .init("tensors", "\(plan.pairs.count)"),
        .init("elements looked at", Format.percent(survey.seen, of: survey.elements)),
      ],
      isSample: survey.isSample,
      footer: "Written by expomerge \(expomergeVersion), \(Format.time(wallMilliseconds())), from \(seen).")
  }
}
