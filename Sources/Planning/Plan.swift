public import Checkpoint
public import Diagnostics
public import Digests
public import SystemPackage

/// Everything about a merge that can be known before its first byte: output files, shards, and where each byte comes
/// from. A pure function of recipe and headers.
///
/// A merge with several alphas makes a checkpoint of each, its *variants*: they have the same files, and a shard is the same
/// range of one file in all of them, so that the inputs are read once.
public struct Plan: Sendable {
  /// One of the checkpoints that a merge makes.
  public struct Variant: Sendable, Equatable {
    public let alpha: Double
    /// In the output; empty where there is one variant.
    public let folder: String

    /// From the output's folder.
    public func path(_ name: String) -> String { folder.isEmpty ? name : "\(folder)/\(name)" }

    /// The checkpoint's folder.
    public func folder(in output: FilePath) -> FilePath { folder.isEmpty ? output : output.appending(folder) }
  }

  public struct OutputFile: Sendable {
    public let name: String
    /// Everything before the data.
    public let header: [UInt8]
    /// Indices into `pairs`, in the order of their data.
    public let pairs: [Int]
    /// Bytes of the file for each of `pairs`.
    public let ranges: [Range<Int>]
    /// Bytes.
    public let size: Int
    /// The number of its first shard.
    public let firstShard: Int
    public let shardCount: Int
  }

  /// An aligned range of one output file, header included, in all variants: the unit of work.
  public struct Shard: Sendable, Equatable {
    public let number: Int
    /// Index into `files`.
    public let file: Int
    /// Bytes of the file.
    public let range: Range<Int>

    package init(number: Int, file: Int, range: Range<Int>) {
      self.number = number
      self.file = file
      self.range = range
    }
  }

  public let recipe: Recipe
  public let aligned: Checkpoint
  public let sft: Checkpoint
  public let pairs: [TensorPair]
  public let variants: [Variant]
  /// Of each variant.
  public let files: [OutputFile]
  public let shardCount: Int
  /// Exceptions that were made, in words: tied heads, overlapping vocabularies.
  public let notes: [String]
  public let fingerprint: Digest128

  /// Plans the merge of a pair.
  ///
  /// - Throws: `badRecipe` or `badData` with every problem found.
  public init(aligned: Checkpoint, sft: Checkpoint, recipe: Recipe) throws(Failure) {
    let recipeProblems = recipe.problems()
    guard recipeProblems.isEmpty else { throw Failure(.badRecipe, recipeProblems) }
    let pairing = Pairing(aligned: aligned, sft: sft, recipe: recipe)
    guard pairing.problems.isEmpty else { throw Failure(.badData, pairing.problems) }
    guard pairing.recipeProblems.isEmpty else { throw Failure(.badRecipe, pairing.recipeProblems) }
    let layout = Layout(
      pairing.pairs.map { .init(name: $0.name, dtype: $0.dtype, shape: $0.shape) }, maxFileSize: recipe.maxFileSize)
    let headerProblems = layout.files.filter { $0.header.count - 8 > SafetensorsHeader.lengthLimit }.map { file in
      Problem(
        .headerTooLarge, "the header of \(file.name) would take \(file.header.count) bytes, more than readers accept",
        remedy: "use a smaller --max-file-size")
    }
    guard headerProblems.isEmpty else { throw Failure(.badRecipe, headerProblems) }
    var firstShard = 0
    files = layout.files.map { file in
      let shards = (file.size + recipe.shardSize - 1) / recipe.shardSize
      defer { firstShard += shards }
      return OutputFile(
        name: file.name, header: file.header, pairs: file.items, ranges: file.ranges, size: file.size,
        firstShard: firstShard, shardCount: shards)
    }
    shardCount = firstShard
    variants = Self.variants(of: recipe)
    self.recipe = recipe
    self.aligned = aligned
    self.sft = sft
    pairs = pairing.pairs
    notes = pairing.notes
    fingerprint = Self.fingerprint(recipe: recipe, aligned: aligned, sft: sft)
  }

  // MARK: totals

  /// Bytes of all output files of all variants, headers included.
  public var outputBytes: Int { variants.count * files.reduce(0) { $0 + $1.size } }
  /// Bytes of all tensors of one variant.
  public var tensorBytes: Int { pairs.reduce(0) { $0 + $1.byteCount } }
  /// Elements of all tensors.
  public var parameterCount: Int { pairs.reduce(0) { $0 + $1.elementCount } }
  /// Bytes read from both inputs.
  public var inputBytes: Int {
    pairs.reduce(0) { $0 + $1.aligned.byteCount + ($1.treatment == .keep ? 0 : $1.sft.byteCount) }
  }

  /// `model.safetensors.index.json` of each variant; nil where it has one file only.
  public var index: CheckpointIndex? {
    guard files.count > 1 else { return nil }
    var map: [String: String] = [:]
    map.reserveCapacity(pairs.count)
    for file in files {
      for pair in file.pairs { map[pairs[pair].name] = file.name }
    }
    return CheckpointIndex(weightMap: map)
  }

  // MARK: shards

  /// The shard with a number below `shardCount`.
  public func shard(_ number: Int) -> Shard {
    precondition((0..<shardCount).contains(number))
    let file = files.partitioningIndex { $0.firstShard > number } - 1
    let start = (number - files[file].firstShard) * recipe.shardSize
    return Shard(number: number, file: file, range: start..<min(start + recipe.shardSize, files[file].size))
  }
}

extension Array {
  /// The first index whose element belongs to the second half, where all elements of the first half come before.
  package func partitioningIndex(_ belongsInSecondHalf: (Element) -> Bool) -> Int {
    var (low, high) = (startIndex, endIndex)
    while low < high {
      let middle = low + (high - low) / 2
      if belongsInSecondHalf(self[middle]) { high = middle } else { low = middle + 1 }
    }
    return low
  }
}
