import Checkpoint
public import Diagnostics
import Kernels
import SystemPackage

extension Problem.Code {
  public static let tensorMissingInSFT = Self("tensor-missing-in-sft")
  public static let tensorMissingInAligned = Self("tensor-missing-in-aligned")
  public static let shapesDiffer = Self("shapes-differ")
  public static let vocabulariesDiffer = Self("vocabularies-differ")
  public static let dtypesCannotPair = Self("dtypes-cannot-pair")
  public static let referenceUndefined = Self("reference-undefined")
  public static let nothingToExtrapolate = Self("nothing-to-extrapolate")
}

/// Finds each tensor's counterpart, by name, and every reason why that cannot be done.
struct Pairing {
  private(set) var pairs: [TensorPair] = []
  private(set) var problems: [Problem] = []
  /// What is wrong with the recipe, now that the tensors are known.
  private(set) var recipeProblems: [Problem] = []
  /// Exceptions that were made, in words.
  private(set) var notes: [String] = []

  private let aligned: Checkpoint
  private let sft: Checkpoint
  private let recipe: Recipe
  private let alignedWeights: QuantisedWeights
  private let sftWeights: QuantisedWeights
  private var alphas: AlphaMap

  init(aligned: Checkpoint, sft: Checkpoint, recipe: Recipe) {
    self.aligned = aligned
    self.sft = sft
    self.recipe = recipe
    alignedWeights = QuantisedWeights(of: aligned)
    sftWeights = QuantisedWeights(of: sft)
    let scales = alignedWeights.companions
    let names = aligned.tensors.map(\.name).filter { !scales.contains($0) }
    alphas = AlphaMap(recipe, names: names)
    pairUp()
    alphas.finish(names: names)
    recipeProblems = alphas.problems
  }

  private mutating func pairUp() {
    var sftByName: [String: Checkpoint.Tensor] = [:]
    sftByName.reserveCapacity(sft.tensors.count)
    for tensor in sft.tensors { sftByName[tensor.name] = tensor }
    var alignedNames: Set<String> = []
    alignedNames.reserveCapacity(aligned.tensors.count)
    for tensor in aligned.tensors { alignedNames.insert(tensor.name) }

    problems = alignedWeights.problems + sftWeights.problems
    note("aligned", alignedWeights)
    note("sft", sftWeights)

    pairs.reserveCapacity(aligned.tensors.count)
    for tensor in aligned.tensors where !alignedWeights.companions.contains(tensor.name) {
      if let counterpart = sftByName[tensor.name] {
        pair(tensor, with: counterpart)
      } else if let embedding = tiedEmbedding(of: tensor.name, ties: sft.config?.tiesWordEmbeddings),
        let counterpart = sftByName[embedding]
      {
        notes.append("\(tensor.name) is tied in sft: it is paired with \(embedding)")
        pair(tensor, with: counterpart)
      } else {
        report(.tensorMissingInSFT, "the tensor is in aligned but not in sft", tensor.name, aligned.path(of: tensor.file).string)
      }
    }
    for tensor in sft.tensors where !alignedNames.contains(tensor.name) && !sftWeights.companions.contains(tensor.name) {
      if let embedding = tiedEmbedding(of: tensor.name, ties: aligned.config?.tiesWordEmbeddings),
        alignedNames.contains(embedding)
      {
        notes.append("\(tensor.name) of sft is left out: in aligned it is tied to \(embedding)")
      } else {
        report(.tensorMissingInAligned, "the tensor is in sft but not in aligned", tensor.name, sft.path(of: tensor.file).string)
      }
    }
    if problems.isEmpty && !pairs.contains(where: { $0.treatment != .copy }) {
      problems.append(
        Problem(
          .nothingToExtrapolate, "the pair has no floating-point tensors to extrapolate",
          file: aligned.folder.string, remedy: "check the paths"))
    }
  }

  private mutating func report(_ code: Problem.Code, _ message: String, _ tensor: String, _ file: String, remedy: String? = nil) {
    let usual = "make sure that both are of one architecture, the one trained from the other"
    problems.append(Problem(code, message, file: file, tensor: tensor, remedy: remedy ?? usual))
  }

  private mutating func note(_ side: String, _ weights: QuantisedWeights) {
    guard let block = weights.block, !weights.scales.isEmpty else { return }
    let tensors = weights.scales.count == 1 ? "1 tensor" : "\(weights.scales.count) tensors"
    notes.append("\(side) is quantised: what is dequantised is \(tensors) of F8_E4M3 with \(block) scales")
  }

  // MARK: one pair

  private mutating func pair(_ tensor: Checkpoint.Tensor, with other: Checkpoint.Tensor) {
    let file = aligned.path(of: tensor.file).string
    guard let common = commonElements(tensor, other, file: file) else { return }
    let product: FloatFormat = recipe.arithmetic == .reference ? .bf16 : .f32
    let place = TensorPair.Place(tensor, scales: alignedWeights.scales(of: tensor, product: product))
    let otherPlace = TensorPair.Place(other, scales: sftWeights.scales(of: other, product: product))
    let (format, otherFormat) = (place.format, otherPlace.format)
    guard (format == nil) == (otherFormat == nil), format != nil || tensor.dtype == other.dtype else {
      report(
        .dtypesCannotPair, "the dtype is \(tensor.dtype.rawValue) in aligned and \(other.dtype.rawValue) in sft",
        tensor.name, file)
      return
    }
    if recipe.arithmetic == .reference, let format {
      guard format == otherFormat, format.hasReferenceArithmetic else {
        let why =
          tensor.dtype == other.dtype
          ? "PyTorch does not compute in \(tensor.dtype.rawValue)"
          : "the dtype is \(tensor.dtype.rawValue) in aligned and \(other.dtype.rawValue) in sft"
        report(
          .referenceUndefined, "reference arithmetic is not defined: \(why)", tensor.name, file,
          remedy: "use --arithmetic float32")
        return
      }
    }
    let choice = alphas.choice(for: tensor.name)
    let treatment: TensorPair.Treatment =
      format == nil ? .copy : choice.alpha == 0 && choice.rule != nil ? .keep : .extrapolate(elements: common)
    pairs.append(
      TensorPair(
        name: tensor.name, shape: tensor.shape, dtype: format == nil ? tensor.dtype : recipe.dtype ?? place.plainDType,
        aligned: place, sft: otherPlace, treatment: treatment, alpha: choice.alpha, rule: choice.rule))
  }

  /// How many leading elements the two have in common: all, or the common rows of a vocabulary.
  private mutating func commonElements(_ tensor: Checkpoint.Tensor, _ other: Checkpoint.Tensor, file: String) -> Int? {
    if tensor.shape == other.shape { return tensor.elementCount }
    guard Self.isVocabulary(tensor.name), tensor.dtype.floatFormat != nil, !tensor.shape.isEmpty,
      tensor.shape.dropFirst() == other.shape.dropFirst()
    else {
      report(.shapesDiffer, "the shape is \(tensor.shape) in aligned and \(other.shape) in sft", tensor.name, file)
      return nil
    }
    let (rows, otherRows) = (tensor.shape[0], other.shape[0])
    guard recipe.vocabulary == .overlap else {
      report(
        .vocabulariesDiffer, "the vocabulary has \(rows) rows in aligned and \(otherRows) in sft", tensor.name, file,
        remedy: "--vocabulary overlap extrapolates the common rows and copies the rest from aligned")
      return nil
    }
    let common = min(rows, otherRows)
    notes.append(
      rows > common
        ? "\(tensor.name): \(common) common rows are extrapolated, \(rows - common) are copied from aligned"
        : "\(tensor.name): its \(rows) rows are extrapolated; \(otherRows - common) rows of sft are left out")
    return common * tensor.shape.dropFirst().reduce(1, *)
  }

  // MARK: names

  private static let vocabularyNames = [
    "embed_tokens.weight", "lm_head.weight", "lm_head.bias", "tok_embeddings.weight", "word_embeddings.weight",
    "wte.weight", "embed_in.weight", "embed_out.weight", "output.weight", "shared.weight",
  ]

  /// Whether a name is that of an embedding or head, with a row for each token.
  private static func isVocabulary(_ name: String) -> Bool {
    vocabularyNames.contains { ending in
      guard name.hasSuffix(ending) else { return false }
      // "output.weight" is InternLM2's head; "attention.output.weight" is something else.
      return ending != "output.weight" || name == ending
    }
  }

  /// The embedding that a missing `lm_head.weight` shares, if the config says that it does.
  private func tiedEmbedding(of name: String, ties: Bool?) -> String? {
    let head = "lm_head.weight"
    guard ties == true, name.hasSuffix(head) else { return nil }
    return name.dropLast(head.utf8.count) + "model.embed_tokens.weight"
  }
}
