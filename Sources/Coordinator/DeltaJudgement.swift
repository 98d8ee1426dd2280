public import Diagnostics
public import Kernels

extension Problem.Code {
  public static let modelsIdentical = Self("models-identical")
  public static let deltaTooLarge = Self("delta-too-large")
  public static let nonFiniteWeights = Self("non-finite-weights")
  public static let resultOverflows = Self("result-overflows")
  public static let copiedTensorDiffers = Self("copied-tensor-differs")
}

/// Warnings about a pair whose extrapolation is not likely to give a good model.
///
/// Section 4.3 of arXiv:2404.16792 shows that extrapolating between models that were not trained one from the other
/// collapses. Preference training moves weights by a fraction of a percent of their norm; a relative norm of the delta
/// above a tenth means other training, or another model.
public enum DeltaJudgement {
  static let suspectRelativeNorm = 0.1
  /// A delta of a tenth, at a right angle to the weights, gives this cosine.
  static let suspectCosine = 0.995

  /// - Parameter isSample: whether the sums are of a few pages only.
  public static func warnings(about sums: DeltaSums, isSample: Bool) -> [Problem] {
    var warnings: [Problem] = []
    let where_ = isSample ? " in the pages looked at" : ""
    if sums.unchanged > 0, sums.unchanged + sums.nonFiniteInputs == sums.elements {
      warnings.append(
        Problem(
          .modelsIdentical, "the two models are identical\(where_): the output equals aligned",
          remedy: "check that --sft and --aligned are the right checkpoints"))
    }
    let cosine = sums.cosine ?? 0
    if let norm = sums.relativeNorm, norm > suspectRelativeNorm || cosine < suspectCosine {
      warnings.append(
        Problem(
          .deltaTooLarge,
          "the models are far apart\(where_): relative norm of the delta \(decimal(norm, 3)), cosine \(decimal(cosine, 4)); preference training gives a norm well under \(decimal(suspectRelativeNorm, 1)), and extrapolating between models that were not trained one from the other collapses (arXiv:2404.16792, section 4.3)",
          remedy: "check that aligned was trained from sft"))
    }
    if sums.nonFiniteInputs > 0 {
      warnings.append(
        Problem(
          .nonFiniteWeights, "\(sums.nonFiniteInputs) elements of the inputs are infinite or NaN\(where_)",
          remedy: "check the checkpoints"))
    }
    if sums.overflows > 0 && !isSample {
      warnings.append(
        Problem(
          .resultOverflows, "\(sums.overflows) results are too large for the output's dtype",
          remedy: "use a smaller alpha, or a dtype with a larger range"))
    }
    return warnings
  }
}

/// A number with a fixed number of decimals.
public func decimal(_ value: Double, _ places: Int) -> String {
  var scale = 1
  for _ in 0..<places { scale *= 10 }
  guard value.isFinite, abs(value) * Double(scale) < 9e18 else { return "\(value)" }
  let scaled = Int((abs(value) * Double(scale)).rounded())
  let sign = value < 0 && scaled > 0 ? "-" : ""
  guard places > 0 else { return sign + String(scaled) }
  let fraction = String(scaled % scale)
  return "\(sign)\(scaled / scale)." + String(repeating: "0", count: places - fraction.count) + fraction
}
