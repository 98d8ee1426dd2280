public import Diagnostics
import Figures
public import Kernels

extension Problem.Code {
  public static let modelsIdentical = Self("models-identical")
  public static let deltaTooLarge = Self("delta-too-large")
  public static let nonFiniteWeights = Self("non-finite-weights")
  public static let resultOverflows = Self("result-overflows")
}

/// What a pair looks like, in words, and why.
public struct Verdict: Sendable, Equatable, Codable {
  public enum Kind: String, Sendable, Codable {
    case identical
    case nearlyIdentical = "nearly-identical"
    case preferenceTraining = "preference-training"
    case supervisedTraining = "supervised-training"
    case differentBase = "different-base"
    case unknown
  }

  public let kind: Kind
  public let title: String
  public let reasons: [String]
  /// That are usually tried for such a delta; none where extrapolation is not expected to help.
  public let alphas: [Double]

  public var alphaList: String { alphas.map { "\($0)" }.joined(separator: ", ") }
}

/// Whether a pair is one that extrapolation is likely to make a good model of.
///
/// arXiv:2404.16792 extrapolates from a model through one that preference training (DPO, RLHF) made of it; its section 4.3
/// shows that extrapolating between models that were not trained so collapses. The bounds are rules of thumb, not the
/// paper's (docs/method.md): preference training has a small learning rate, and moves weights by a fraction of a percent of
/// their norm, supervised training by some percent, and weights of another base have nothing in common.
public enum DeltaJudgement {
  static let nearlyIdenticalNorm = 1e-5
  static let barelyTrainedNorm = 3e-4
  static let preferenceNorm = 0.01
  static let suspectNorm = 0.1
  /// A delta of a tenth, at a right angle to the weights, gives this cosine.
  static let suspectCosine = 0.995
  /// Weights that were drawn independently have one near 0.
  static let unrelatedCosine = 0.5

  /// Section 4 of the paper searched these for finished models.
  static let finishedAlphas = [0.1, 0.2, 0.3, 0.4, 0.5]
  /// More than anybody would try.
  public static let conceivableAlpha = 100.0
  /// Its table 3 has such for models that saw a part of the training.
  static let barelyTrainedAlphas = [0.5, 1, 2, 5, 10]

  /// Of all tensors together.
  public static func verdict(on sums: DeltaSums) -> Verdict {
    let cosine = sums.cosine ?? 0
    guard let norm = sums.relativeNorm, norm.isFinite, cosine.isFinite else {
      return Verdict(
        kind: .unknown, title: "nothing can be said", reasons: ["aligned is zero wherever it was looked at, or its squares are beyond f64"],
        alphas: [])
    }
    let measured = "the delta's norm is \(Format.percentage(norm)) of the weights', the cosine of the models \(decimal(min(cosine, 1), 6))"
    if isIdentical(sums) {
      return Verdict(
        kind: .identical, title: "identical", reasons: ["no element differs: whatever alpha is, the output equals aligned"],
        alphas: [])
    }
    if cosine < unrelatedCosine {
      return Verdict(
        kind: .differentBase, title: "looks like a different base",
        reasons: [
          measured, "models of which one was trained from the other have a cosine near 1",
          "extrapolating between models that were not trained one from the other collapses (section 4.3 of the paper)",
        ], alphas: [])
    }
    if norm > preferenceNorm {
      var reasons = [
        measured, "preference training usually moves weights by less than \(decimal(preferenceNorm * 100, 0)) %; supervised fine-tuning of a base moves them this far",
      ]
      if isFarApart(sums) { reasons.append("they are so far apart that it may also be continued pretraining, or a merge") }
      reasons.append("a delta of supervised training is not the direction that the method extrapolates (section 4.3 of the paper)")
      return Verdict(kind: .supervisedTraining, title: "looks like supervised training on a base", reasons: reasons, alphas: [])
    }
    if norm < nearlyIdenticalNorm {
      return Verdict(
        kind: .nearlyIdentical, title: "nearly identical",
        reasons: [measured, "aligned has hardly been trained, or what was learnt is lost in the rounding of its dtype"],
        alphas: barelyTrainedAlphas)
    }
    let isBarelyTrained = norm < barelyTrainedNorm
    return Verdict(
      kind: .preferenceTraining, title: "looks like preference training from this SFT",
      reasons: [
        measured, "such a small change in all weights is what DPO or RLHF from this model gives: the premise of the method",
        isBarelyTrained
          ? "it is small even for that: for models that saw a part of the training the paper has alphas up to 10 (table 3)"
          : "for finished models the paper searched alpha from 0.1 to 0.5",
      ], alphas: isBarelyTrained ? barelyTrainedAlphas : finishedAlphas)
  }

  private static func isIdentical(_ sums: DeltaSums) -> Bool {
    sums.unchanged > 0 && sums.unchanged + sums.nonFiniteInputs == sums.elements
  }

  private static func isFarApart(_ sums: DeltaSums) -> Bool {
    sums.relativeNorm.map { $0 > suspectNorm || (sums.cosine ?? 0) < suspectCosine } ?? false
  }

  /// What whoever merges should know.
  ///
  /// - Parameter overflows: results that are too large, of a merge, by alpha where there are several; nil of a sample, where that
  ///   is not known.
  public static func warnings(about sums: DeltaSums, overflows: [(alpha: Double?, count: UInt64)]? = nil) -> [Problem] {
    var warnings: [Problem] = []
    let where_ = overflows == nil ? " in the pages looked at" : ""
    if isIdentical(sums) {
      warnings.append(
        Problem(
          .modelsIdentical, "the two models are identical\(where_): the output equals aligned",
          remedy: "check that --sft and --aligned are the right checkpoints"))
    }
    if let norm = sums.relativeNorm, isFarApart(sums) {
      warnings.append(
        Problem(
          .deltaTooLarge,
          "the models are far apart\(where_): relative norm of the delta \(decimal(norm, 3)), cosine \(decimal(sums.cosine ?? 0, 4)); preference training gives a norm well under \(decimal(suspectNorm, 1)), and extrapolating between models that were not trained one from the other collapses (arXiv:2404.16792, section 4.3)",
          remedy: "check that aligned was trained from sft"))
    }
    if sums.nonFiniteInputs > 0 {
      warnings.append(
        Problem(
          .nonFiniteWeights, "\(sums.nonFiniteInputs) elements of the inputs are infinite or NaN\(where_)",
          remedy: "check the checkpoints"))
    }
    for (alpha, count) in overflows ?? [] where count > 0 {
      warnings.append(
        Problem(
          .resultOverflows, "\(count) results\(alpha.map { " with alpha \($0)" } ?? "") are too large for the output's dtype",
          remedy: "use a smaller alpha, or a dtype with a larger range"))
    }
    return warnings
  }
}
