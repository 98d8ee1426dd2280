import Checkpoint
import Digests
import Kernels

extension Plan {
  /// Grows whenever the same recipe and headers would give other bytes or another layout.
  static let version = 1

  /// A digest of recipe and headers. Where the inputs lie does not matter: copies give the same fingerprint.
  static func fingerprint(recipe: Recipe, aligned: Checkpoint, sft: Checkpoint) -> Digest128 {
    var hasher = CanonicalHasher()
    hasher.combine("expomerge plan")
    hasher.combine(version)
    hasher.combine(recipe.alpha)
    if recipe.alphas.count > 1 {
      hasher.combine("alphas")
      hasher.combine(recipe.alphas.count)
      for alpha in recipe.alphas { hasher.combine(alpha) }
    }
    hasher.combine(recipe.arithmetic.rawValue)
    hasher.combine(recipe.dtype?.rawValue ?? "")
    hasher.combine(recipe.vocabulary.rawValue)
    hasher.combine(recipe.maxFileSize)
    hasher.combine(recipe.shardSize)
    for rule in recipe.rules {
      hasher.combine("rule")
      hasher.combine(rule.glob ?? "")
      hasher.combine(rule.regex ?? "")
      hasher.combine(rule.part?.rawValue ?? "")
      hasher.combine(rule.layers?.lowerBound ?? -1)
      hasher.combine(rule.layers?.upperBound ?? -1)
      hasher.combine(rule.alphas.count)
      for alpha in rule.alphas { hasher.combine(alpha) }
    }
    for checkpoint in [aligned, sft] {
      hasher.combine(checkpoint.config?.tiesWordEmbeddings == true)
      if let block = QuantisedWeights.block(of: checkpoint) {
        hasher.combine("blocks")
        hasher.combine(block.rows)
        hasher.combine(block.columns)
      }
      hasher.combine(checkpoint.files.count)
      for file in checkpoint.files {
        hasher.combine(file.name)
        hasher.combine(file.size)
        hasher.combine(file.dataStart)
      }
      hasher.combine(checkpoint.tensors.count)
      for tensor in checkpoint.tensors {
        hasher.combine(tensor.name)
        hasher.combine(tensor.dtype.rawValue)
        hasher.combine(tensor.shape.count)
        for dimension in tensor.shape { hasher.combine(dimension) }
        hasher.combine(tensor.file)
        hasher.combine(tensor.range.lowerBound)
        hasher.combine(tensor.range.upperBound)
        if let layout = tensor.layout {
          hasher.combine("strides")
          for stride in layout.strides { hasher.combine(stride) }
        }
      }
    }
    return hasher.digest()
  }
}
