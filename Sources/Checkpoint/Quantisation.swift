/// What the `quantization_config` of a config.json says of the weights.
public struct Quantisation: Sendable, Equatable {
  /// `quant_method`, as in `fp8` or `gptq`; nil where it does not say.
  public let method: String?
  /// `weight_block_size`; nil where there is none, and empty where it is no array of whole numbers.
  public let blockSize: [Int]?

  public init(method: String?, blockSize: [Int]? = nil) {
    self.method = method
    self.blockSize = blockSize
  }

  /// FP8 with a scale for each block of a weight, as DeepSeek-V3 has it.
  public static let blockMethod = "fp8"
}

extension JSONScanner {
  /// Reads an object that quantisers leave in a config.json.
  mutating func readQuantisation() throws(Fault) -> Quantisation {
    var (method, blockSize): (String?, [Int]?) = (nil, nil)
    try readObject { (scanner, key, _) throws(Fault) in
      switch key {
      case "quant_method" where scanner.peek() == UInt8(ascii: "\""):
        method = try scanner.readString()
      case "weight_block_size":
        blockSize = try scanner.readBlockSize()
      default:
        try scanner.skipValue()
      }
    }
    return Quantisation(method: method, blockSize: blockSize)
  }

  private mutating func readBlockSize() throws(Fault) -> [Int] {
    guard peek() == UInt8(ascii: "[") else {
      try skipValue()
      return []
    }
    var sizes: [Int] = []
    var isValid = true
    try readArray { (scanner) throws(Fault) in
      let isNumber = scanner.peek().map { (0x30...0x39).contains($0) } ?? false
      guard isNumber, sizes.count < 2 else {
        isValid = false
        return try scanner.skipValue()
      }
      sizes.append(Int(clamping: try scanner.readUnsigned()))
    }
    return isValid ? sizes : []
  }
}
