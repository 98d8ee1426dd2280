/// What a tensor is in its model, as far as its name tells.
public struct TensorRole: Sendable, Hashable {
  public enum Kind: String, Sendable, CaseIterable, Codable {
    case attention, mlp, norm, embedding, head, other
  }

  public let kind: Kind
  /// What the layers of one stack have before their numbers, as in `model.layers`; nil outside of layers.
  public let stack: String?
  public let layer: Int?
  /// The name without the layer and the kind of parameter: `model.layers.3.self_attn.q_proj.weight` is
  /// `self_attn.q_proj`. All experts of a layer are one module.
  public let module: String
  /// The whole name with `*` for the layer.
  public let pattern: String

  /// The last part of the module, as in `q_proj`.
  public var projection: String { module.split(separator: ".").last.map(String.init) ?? module }

  public init(of tensor: String) {
    var parts = tensor.split(separator: ".")
    pattern = parts.firstIndex(where: Self.isNumber).map { index in
      (parts[..<index] + ["*"] + parts[(index + 1)...]).joined(separator: ".")
    } ?? tensor
    if let last = parts.last, ["weight", "bias"].contains(last), parts.count > 1 { parts.removeLast() }
    if let index = parts.firstIndex(where: Self.isNumber), index + 1 < parts.count {
      stack = parts[..<index].joined(separator: ".")
      layer = Int(parts[index])
      parts = parts[(index + 1)...].filter { !Self.isNumber($0) }
    } else {
      stack = nil
      layer = nil
      if parts.count > 1, ["model", "transformer"].contains(parts[0]) { parts.removeFirst() }
    }
    module = parts.joined(separator: ".")
    kind = Self.kind(of: parts.map { $0.lowercased() })
  }

  private static func isNumber(_ part: Substring) -> Bool { part.utf8.allSatisfy { (0x30...0x39).contains($0) } }

  private static func kind(of parts: [String]) -> Kind {
    func has(_ words: String...) -> Bool { parts.contains { part in words.contains { part.contains($0) } } }
    func named(_ names: String...) -> Bool { parts.contains(where: names.contains) }
    if has("norm") || parts.contains(where: { $0.hasPrefix("ln_") }) { return .norm }
    if has("lm_head", "embed_out") || parts == ["output"] || parts == ["score"] { return .head }
    if has("embed") || named("wte", "wpe", "shared") { return .embedding }
    if has("attn", "attention") { return .attention }
    if has("mlp", "ffn", "feed_forward", "moe", "experts") || named("fc1", "fc2") { return .mlp }
    return .other
  }
}
