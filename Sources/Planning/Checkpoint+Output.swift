public import Checkpoint

extension Checkpoint {
  /// What config.json says of the weights that are written; nil where it stays as it is.
  ///
  /// - Parameter dtype: that is asked for.
  public func config(forOutput dtype: DType?) -> [UInt8]? {
    let isQuantised = QuantisedWeights.block(of: self) != nil
    let usual: DType? = isQuantised && !QuantisedWeights(of: self).scales.isEmpty ? .bf16 : nil
    let name = (dtype ?? usual)?.torchName
    guard let config, isQuantised || name != nil else { return nil }
    return config.json(withDType: name, isDequantised: isQuantised)
  }
}

extension DType {
  /// PyTorch's name of a dtype that `--dtype` can ask for.
  public var torchName: String? {
    switch self {
    case .f64: "float64"
    case .f32: "float32"
    case .f16: "float16"
    case .bf16: "bfloat16"
    default: nil
    }
  }
}
