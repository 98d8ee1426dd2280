public import Diagnostics

extension Problem.Code {
  public static let configInvalid = Self("config-invalid")
}

/// What a merge needs of a `config.json`; the rest is kept to the letter.
public struct ModelConfig: Sendable, Equatable {
  public let json: [UInt8]
  /// `tie_word_embeddings`, of the model or of its `text_config`; nil where neither says.
  public let tiesWordEmbeddings: Bool?
  /// Where the values of `torch_dtype` and `dtype` stand in `json`, quotes included.
  let dtypeRanges: [Range<Int>]
  /// Whether one of them is the model's own.
  let saysDType: Bool
  /// Just behind the opening brace.
  let firstMember: Int

  static let sizeLimit = 16 << 20

  /// - Parameter file: its path, for errors.
  public init(json: [UInt8], file: String) throws(Failure) {
    var found = Findings()
    do throws(JSONScanner.Fault) {
      try withScanner(json) { scanner throws(JSONScanner.Fault) in
        _ = scanner.peek()
        found.firstMember = scanner.position + 1
        try Self.read(&scanner, inside: nil, depth: 0, &found)
        try scanner.expectEnd()
      }
    } catch {
      throw Failure(
        .badData,
        Problem(
          .configInvalid, "is not valid: \(error.message)", file: file, byte: error.byte, remedy: "correct the file"))
    }
    self.json = json
    tiesWordEmbeddings = found.ties ?? found.textTies
    dtypeRanges = found.dtypeRanges
    saysDType = found.saysDType
    firstMember = found.firstMember
  }

  private struct Findings {
    var ties: Bool?
    var textTies: Bool?
    var dtypeRanges: [Range<Int>] = []
    var saysDType = false
    var firstMember = 0
  }

  /// - Parameter inside: the key of the object of the first level that this object is in.
  private static func read(
    _ scanner: inout JSONScanner, inside: String?, depth: Int, _ found: inout Findings
  ) throws(JSONScanner.Fault) {
    try scanner.readObject { (scanner, key, _) throws(JSONScanner.Fault) in
      let next = scanner.peek()
      switch key {
      case "tie_word_embeddings" where next == UInt8(ascii: "t") || next == UInt8(ascii: "f"):
        let value = try scanner.readBool()
        if depth == 0 { found.ties = value }
        if depth == 1 && inside == "text_config" { found.textTies = value }
      case "torch_dtype", "dtype":
        // Of the model itself whatever stands there, even null; elsewhere only what is a dtype of PyTorch.
        let start = scanner.position
        if next == UInt8(ascii: "\"") {
          let name = try scanner.readString()
          if depth == 0 || torchNames.contains(name) { found.dtypeRanges.append(start..<scanner.position) }
        } else {
          try scanner.skipValue()
          if depth == 0 { found.dtypeRanges.append(start..<scanner.position) }
        }
        if depth == 0 { found.saysDType = true }
      case "quantization_config":
        try scanner.skipValue()
      default:
        if next == UInt8(ascii: "{") {
          try read(&scanner, inside: inside ?? key, depth: depth + 1, &found)
        } else {
          try scanner.skipValue()
        }
      }
    }
  }

  private static let torchNames: Set<String> = ["float64", "float32", "float16", "bfloat16"]

  /// The same file for weights of another dtype.
  ///
  /// - Parameter torchName: PyTorch's name of it, as in `bfloat16`.
  public func json(withDType torchName: String) -> [UInt8] {
    var result = json
    for range in dtypeRanges.reversed() {
      result.replaceSubrange(range, with: "\"\(torchName)\"".utf8)
    }
    if !saysDType {
      let rest = json[firstMember...].first { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }
      let comma = rest == UInt8(ascii: "}") ? "" : ","
      result.insert(contentsOf: "\n  \"torch_dtype\": \"\(torchName)\"\(comma)".utf8, at: firstMember)
    }
    return result
  }
}
