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
  /// Just behind the opening brace.
  let firstMember: Int

  static let sizeLimit = 16 << 20

  /// - Parameter file: its path, for errors.
  public init(json: [UInt8], file: String) throws(Failure) {
    var ties: Bool?
    var ranges: [Range<Int>] = []
    var firstMember = 0
    do throws(JSONScanner.Fault) {
      try withScanner(json) { scanner throws(JSONScanner.Fault) in
        _ = scanner.peek()
        firstMember = scanner.position + 1
        try Self.read(&scanner, path: [], &ties, &ranges)
        try scanner.expectEnd()
      }
    } catch {
      throw Failure(
        .badData,
        Problem(
          .configInvalid, "is not valid: \(error.message)", file: file, byte: error.byte, remedy: "correct the file"))
    }
    self.json = json
    tiesWordEmbeddings = ties
    dtypeRanges = ranges
    self.firstMember = firstMember
  }

  private static func read(
    _ scanner: inout JSONScanner, path: [String], _ ties: inout Bool?, _ ranges: inout [Range<Int>]
  ) throws(JSONScanner.Fault) {
    var (foundTies, foundRanges) = (ties, ranges)
    try scanner.readObject { (scanner, key, _) throws(JSONScanner.Fault) in
      switch (key, scanner.peek()) {
      case ("tie_word_embeddings", UInt8(ascii: "t")), ("tie_word_embeddings", UInt8(ascii: "f")):
        let value = try scanner.readBool()
        if path.isEmpty || (path == ["text_config"] && foundTies == nil) { foundTies = value }
      case ("torch_dtype", UInt8(ascii: "\"")), ("dtype", UInt8(ascii: "\"")):
        let start = scanner.position
        let value = try scanner.readString()
        if torchNames.contains(value) { foundRanges.append(start..<scanner.position) }
      case ("quantization_config", _):
        try scanner.skipValue()
      case (_, UInt8(ascii: "{")):
        try read(&scanner, path: path + [key], &foundTies, &foundRanges)
      default:
        try scanner.skipValue()
      }
    }
    (ties, ranges) = (foundTies, foundRanges)
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
    if dtypeRanges.isEmpty {
      let rest = json[firstMember...].first { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }
      let comma = rest == UInt8(ascii: "}") ? "" : ","
      result.insert(contentsOf: "\n  \"torch_dtype\": \"\(torchName)\"\(comma)".utf8, at: firstMember)
    }
    return result
  }
}
