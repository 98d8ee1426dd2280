/// A tensor that by its name belongs to quantised weights.
struct QuantisationNames {
  /// The name without its ending.
  let stem: String
  /// Who quantises so, if only one does.
  let method: String?
  /// Whether nothing but quantised weights has such a name, whatever stands beside it.
  let isTelling: Bool

  /// What the tensor may go with.
  var owners: [String] { [stem, stem + ".weight", stem + "_blocks", stem + ".qweight"] }

  static func match(_ name: String) -> QuantisationNames? {
    if let place = name.firstRange(of: ".quant_state.bitsandbytes__") {
      return .init(stem: String(name[..<place.lowerBound]), method: "bitsandbytes", isTelling: true)
    }
    guard let ending = endings.first(where: { name.hasSuffix($0.text) }) else { return nil }
    return .init(stem: String(name.dropLast(ending.text.utf8.count)), method: ending.method, isTelling: ending.isTelling)
  }

  /// Of FP8 scales (DeepSeek, FBGEMM), GPTQ, AWQ, compressed-tensors, bitsandbytes and MXFP4.
  /// The longer of two that end alike comes first.
  private static let endings: [(text: String, method: String?, isTelling: Bool)] = [
    (".input_scale", nil, false), (".weight_scale", nil, false), ("_scale_inv", nil, false), ("_scale_2", nil, false),
    ("_scale", nil, false), ("_scales", nil, false), ("_zero_point", nil, false), (".scales", nil, false),
    (".qweight", "GPTQ or AWQ", true), (".qzeros", "GPTQ or AWQ", true), (".g_idx", nil, false),
    (".weight_packed", "compressed-tensors", true), (".nested_absmax", nil, false), (".absmax", nil, false),
    (".quant_map", "bitsandbytes", true), (".SCB", "bitsandbytes", false),
  ]
}
