/// What the name of a tensor tells about its place in the model, as the families on model hubs name them.
public struct TensorName: Sendable {
  /// What a tensor belongs to.
  public enum Part: String, Sendable, CaseIterable, Codable {
    case attention, mlp, norm, embedding, head, other
  }

  /// What is before the layer's number, as in `model.layers`, and that number. Models may have several stacks.
  public struct Layer: Sendable, Hashable {
    public let stack: Substring
    public let number: Int
  }

  /// nil outside the layers.
  public let layer: Layer?
  public let part: Part
  /// The name with the layer's number left out: `model.layers.*.mlp.up_proj.weight`.
  public let kind: String

  public init(_ name: String) {
    let components = name.split(separator: ".", omittingEmptySubsequences: false)
    let place = components.firstIndex { !$0.isEmpty && $0.utf8.allSatisfy { (0x30...0x39).contains($0) } }
    if let place, let number = Int(components[place]) {
      layer = Layer(stack: name[..<components[place].startIndex].dropLast(), number: number)
      kind = name[..<components[place].startIndex] + "*" + name[components[place].endIndex...]
    } else {
      layer = nil
      kind = name
    }
    part = Self.part(of: components, isInLayer: layer != nil)
  }

  private static func part(of components: [Substring], isInLayer: Bool) -> Part {
    func has(_ names: Set<String>) -> Bool { components.contains { names.contains(String($0)) } }
    // `q_norm` is a norm within attention, and `attention_norm` one before it.
    if components.contains(where: { isNorm($0) }) { return .norm }
    if has(attentionNames) { return .attention }
    if has(mlpNames) { return .mlp }
    if isInLayer { return .other }
    if has(embeddingNames) { return .embedding }
    return has(headNames) ? .head : .other
  }

  private static func isNorm(_ component: Substring) -> Bool {
    let word = component.lowercased()
    return word.hasSuffix("norm") || word.hasSuffix("layernorm") || ["ln_f", "ln_1", "ln_2", "ln1", "ln2", "norm1", "norm2"].contains(word)
  }

  private static let attentionNames: Set = [
    "self_attn", "self_attention", "attention", "attn", "cross_attn", "encoder_attn", "temporal_block", "linear_attn",
  ]
  private static let mlpNames: Set = [
    "mlp", "feed_forward", "ffn", "block_sparse_moe", "moe", "experts", "shared_expert", "fc1", "fc2", "mlp_block",
  ]
  private static let embeddingNames: Set = [
    "embed_tokens", "tok_embeddings", "word_embeddings", "wte", "wpe", "embed_in", "shared", "embeddings", "embed_positions",
  ]
  private static let headNames: Set = ["lm_head", "embed_out", "output", "score", "classifier", "value_head"]
}
