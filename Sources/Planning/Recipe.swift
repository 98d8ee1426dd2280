public import Checkpoint
public import Diagnostics
public import Kernels

extension Problem.Code {
  public static let alphaInvalid = Self("alpha-invalid")
  public static let dtypeNotFloat = Self("dtype-not-float")
  public static let shardSizeInvalid = Self("shard-size-invalid")
  public static let fileSizeInvalid = Self("file-size-invalid")
}

/// What is asked of a merge, besides the pair itself.
public struct Recipe: Sendable, Equatable, Codable {
  /// What to do when embedding and head of the pair have different numbers of rows.
  public enum Vocabulary: String, Sendable, CaseIterable, Codable {
    case refuse
    /// Extrapolate the rows that both have, and copy the others from aligned.
    case overlap
  }

  /// How far to go beyond aligned: out = aligned + alpha·(aligned - sft), equation 2 of arXiv:2404.16792. Where there are
  /// several, each makes a checkpoint.
  public var alphas: [Double]
  /// For tensors that have another.
  public var rules: [AlphaRule]
  public var arithmetic: Arithmetic
  /// The dtype of computed tensors; nil keeps that of aligned.
  public var dtype: DType?
  public var vocabulary: Vocabulary
  /// Bytes of tensors in one output file, unless one tensor alone has more.
  public var maxFileSize: Int
  /// Bytes of a shard.
  public var shardSize: Int

  public init(
    alpha: Double, rules: [AlphaRule] = [], arithmetic: Arithmetic = .float32, dtype: DType? = nil, vocabulary: Vocabulary = .refuse,
    maxFileSize: Int = 5_000_000_000, shardSize: Int = 64 << 20
  ) {
    self.init(
      alphas: [alpha], rules: rules, arithmetic: arithmetic, dtype: dtype, vocabulary: vocabulary, maxFileSize: maxFileSize,
      shardSize: shardSize)
  }

  public init(
    alphas: [Double], rules: [AlphaRule] = [], arithmetic: Arithmetic = .float32, dtype: DType? = nil,
    vocabulary: Vocabulary = .refuse, maxFileSize: Int = 5_000_000_000, shardSize: Int = 64 << 20
  ) {
    self.alphas = alphas
    self.rules = rules
    self.arithmetic = arithmetic
    self.dtype = dtype
    self.vocabulary = vocabulary
    self.maxFileSize = maxFileSize
    self.shardSize = shardSize
  }

  /// The first.
  public var alpha: Double { alphas[0] }

  /// What makes one of the checkpoints alone.
  ///
  /// - Parameter variant: index into `alphas`.
  public func single(_ variant: Int) -> Recipe {
    var recipe = self
    recipe.alphas = [alphas[variant]]
    return recipe
  }

  private enum CodingKeys: String, CodingKey {
    case alpha, alphas, rules, arithmetic, dtype, vocabulary, maxFileSize, shardSize
  }

  /// A recipe with one alpha is written as before there could be several.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(alpha, forKey: .alpha)
    if alphas.count > 1 { try container.encode(alphas, forKey: .alphas) }
    try container.encode(rules, forKey: .rules)
    try container.encode(arithmetic, forKey: .arithmetic)
    try container.encodeIfPresent(dtype, forKey: .dtype)
    try container.encode(vocabulary, forKey: .vocabulary)
    try container.encode(maxFileSize, forKey: .maxFileSize)
    try container.encode(shardSize, forKey: .shardSize)
  }

  /// In recipes of versions that had no rules there are none.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    let alpha = try container.decode(Double.self, forKey: .alpha)
    alphas = try container.decodeIfPresent([Double].self, forKey: .alphas) ?? [alpha]
    guard alphas.first == alpha else {
      throw DecodingError.dataCorruptedError(forKey: .alphas, in: container, debugDescription: "alpha is not the first of alphas")
    }
    rules = try container.decodeIfPresent([AlphaRule].self, forKey: .rules) ?? []
    arithmetic = try container.decode(Arithmetic.self, forKey: .arithmetic)
    dtype = try container.decodeIfPresent(DType.self, forKey: .dtype)
    vocabulary = try container.decode(Vocabulary.self, forKey: .vocabulary)
    maxFileSize = try container.decode(Int.self, forKey: .maxFileSize)
    shardSize = try container.decode(Int.self, forKey: .shardSize)
  }

  /// Shards start on multiples of this: the largest page size of arm64, as network filesystems lose writes that share
  /// a page.
  public static let shardGranule = 64 << 10

  /// Everything that makes the recipe impossible.
  public func problems() -> [Problem] {
    var problems: [Problem] = []
    if let dtype, dtype.floatFormat == nil {
      problems.append(
        Problem(.dtypeNotFloat, "the output's dtype \(dtype.rawValue) is not floating-point", remedy: "choose bf16, f16, f32 or f64"))
    }
    for alpha in alphas where !Float(alpha).isFinite {
      problems.append(Problem(.alphaInvalid, "alpha is \(alpha), not a finite f32", remedy: "0.1 to 0.5 are usual"))
    }
    if !(1...Self.alphaLimit).contains(alphas.count) {
      problems.append(
        Problem(.alphaInvalid, "there are \(alphas.count) alphas", remedy: "give 1 to \(Self.alphaLimit), and the others to another merge"))
    } else if Set(alphas).count < alphas.count {
      problems.append(Problem(.alphaInvalid, "two of the alphas \(alphaText) are the same", remedy: "give each once"))
    }
    problems += ruleProblems
    if shardSize < Self.shardGranule || shardSize % Self.shardGranule != 0 || shardSize > 1 << 40 {
      problems.append(
        Problem(
          .shardSizeInvalid, "the shard size is \(shardSize) bytes", remedy: "choose a multiple of 64KiB, as in 64MiB"))
    }
    if maxFileSize < 1 {
      problems.append(
        Problem(.fileSizeInvalid, "the largest file size is \(maxFileSize) bytes", remedy: "5GB is usual"))
    }
    return problems
  }

  /// A worker has a buffer for each.
  public static let alphaLimit = 32
  private static let ruleLimit = 1000
  private static let patternLimit = 1000

  private var ruleProblems: [Problem] {
    if rules.count > Self.ruleLimit {
      return [Problem(.ruleInvalid, "there are \(rules.count) rules", remedy: "at most \(Self.ruleLimit) are allowed")]
    }
    return rules.enumerated().compactMap { number, rule in
      let (what, remedy): (String, String)
      if rule.alphas.isEmpty || rule.alphas.count > Self.ruleLimit {
        (what, remedy) = ("has \(rule.alphas.count) alphas", "give one, or several over the depth")
      } else if let alpha = rule.alphas.first(where: { !Float($0).isFinite }) {
        (what, remedy) = ("has the alpha \(alpha), not a finite f32", "0.1 to 0.5 are usual")
      } else if [rule.glob, rule.regex].contains(where: { $0.map { $0.utf8.count > Self.patternLimit || $0.utf8.contains(0) } == true }) {
        (what, remedy) = ("has a pattern of more than \(Self.patternLimit) bytes, or a byte 0 in it", "write a shorter one")
      } else if let layers = rule.layers, layers.lowerBound < 0 {
        (what, remedy) = ("begins before layer 0", "the first layer is 0")
      } else {
        return nil
      }
      return Problem(.ruleInvalid, "rule \(number + 1) (\(rule.conditions.prefix(100))) \(what)", remedy: remedy)
    }
  }

  /// The alphas in a few words.
  public var alphaText: String {
    let text = alphas.map { "\($0)" }.joined(separator: ", ")
    return rules.isEmpty ? text : "\(text), \(rules.count == 1 ? "1 rule" : "\(rules.count) rules")"
  }
}
