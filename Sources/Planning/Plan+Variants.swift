import Checkpoint
public import Digests

extension Plan {
  /// The checkpoints that a recipe makes.
  public static func variants(of recipe: Recipe) -> [Variant] {
    let isSingle = recipe.alphas.count == 1
    return recipe.alphas.map { Variant(alpha: $0, folder: isSingle ? "" : "alpha-\($0)") }
  }

  /// A file of one variant.
  public struct Output: Sendable, Equatable {
    /// Index into `variants`.
    public let variant: Int
    /// Index into `files`.
    public let file: Int
    /// From the output's folder.
    public let path: String
    /// Bytes.
    public let size: Int
  }

  /// The files of all variants, one variant after the other; that of each is its number.
  public var outputs: [Output] {
    variants.enumerated().flatMap { variant, place in
      files.enumerated().map { Output(variant: variant, file: $0, path: place.path($1.name), size: $1.size) }
    }
  }

  /// The numbers of a file in all variants.
  public func outputs(of file: Int) -> [Int] { variants.indices.map { $0 * files.count + file } }

  /// Bytes that a shard has in all variants.
  public func outputBytes(of shard: Shard) -> Int { shard.range.count * variants.count }

  /// The fingerprint that a variant has as a merge of its own.
  public func fingerprint(of variant: Int) -> Digest128 {
    variants.count == 1 ? fingerprint : Self.fingerprint(recipe: recipe.single(variant), aligned: aligned, sft: sft)
  }

  /// The alpha that a tensor has in a variant: that of a rule is the same in all.
  public func alpha(of pair: TensorPair, in variant: Int) -> Double { pair.rule == nil ? variants[variant].alpha : pair.alpha }
}

/// The order in which the bytes of a shard are streamed: a stripe of each variant, then the next stripe of each.
public struct ShardStream: Sendable, Equatable {
  /// Bytes of the shard in one variant.
  public let shardBytes: Int
  public let variants: Int
  /// Bytes.
  private let stripe: Int

  /// Blocks of workers are stripes, or end where one does.
  public static let stripeBytes = 4 << 20

  public init(shardBytes: Int, variants: Int) {
    self.shardBytes = shardBytes
    self.variants = variants
    stripe = variants == 1 ? max(shardBytes, 1) : Self.stripeBytes
  }

  /// Bytes of all.
  public var count: Int { shardBytes * variants }

  /// What the stream holds from a place on, up to the end of a stripe.
  ///
  /// - Parameter position: bytes of the stream.
  /// - Returns: bytes of the shard, in one variant.
  public func place(of position: Int) -> (variant: Int, range: Range<Int>) {
    precondition((0..<count).contains(position))
    let (row, rest) = position.quotientAndRemainder(dividingBy: stripe * variants)
    let start = row * stripe
    let height = min(stripe, shardBytes - start)
    let (variant, offset) = rest.quotientAndRemainder(dividingBy: height)
    return (variant, start + offset..<start + height)
  }

  /// Where the stream holds a byte of a variant's shard.
  public func position(of offset: Int, in variant: Int) -> Int {
    precondition((0..<shardBytes).contains(offset) && (0..<variants).contains(variant))
    let start = offset / stripe * stripe
    return start * variants + variant * min(stripe, shardBytes - start) + offset - start
  }
}
