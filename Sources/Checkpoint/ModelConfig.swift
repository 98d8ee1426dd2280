public import Diagnostics

extension Problem.Code {
  public static let configInvalid = Self("config-invalid")
}

/// What a merge needs of a `config.json`; the rest is kept to the letter.
public struct ModelConfig: Sendable, Equatable {
  public let json: [UInt8]
  /// `tie_word_embeddings`, of the model or of its `text_config`; nil where neither says.
  public let tiesWordEmbeddings: Bool?
  /// `quantization_config`, of the model or of its `text_config`; nil where there is none.
  public let quantisation: Quantisation?
  /// Where the values of `torch_dtype` and `dtype` stand in `json`, quotes included.
  let dtypeRanges: [Range<Int>]
  /// Whether one of them is the model's own.
  let saysDType: Bool
  /// Where the members of the name `quantization_config` stand that `quantisation` is of, less their commas.
  let quantisationRanges: [Range<Int>]
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
    quantisation = found.quantisation
    quantisationRanges = found.quantisationRanges
    firstMember = found.firstMember
  }

  /// What a plan needs of one, where the file is elsewhere.
  package init(tiesWordEmbeddings: Bool?, quantisation: Quantisation?) {
    self.tiesWordEmbeddings = tiesWordEmbeddings
    self.quantisation = quantisation
    (json, dtypeRanges, quantisationRanges) = (Array("{}".utf8), [], [])
    (saysDType, firstMember) = (false, 1)
  }

  private struct Findings {
    var ties: Bool?
    var textTies: Bool?
    var dtypeRanges: [Range<Int>] = []
    var saysDType = false
    var quantisation: Quantisation?
    var quantisationRanges: [Range<Int>] = []
    var firstMember = 0
  }

  /// - Parameter inside: the key of the object of the first level that this object is in.
  private static func read(
    _ scanner: inout JSONScanner, inside: String?, depth: Int, _ found: inout Findings
  ) throws(JSONScanner.Fault) {
    var isQuantised = false
    try scanner.readObject { (scanner, key, keyByte) throws(JSONScanner.Fault) in
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
      case "quantization_config", "compression_config":
        let isModels = depth == 0 || depth == 1 && inside == "text_config"
        guard isModels, next == UInt8(ascii: "{") else { return try scanner.skipValue() }
        let quantisation = try scanner.readQuantisation()
        // compressed-tensors once had a name of its own for it, which counts whatever else stands there: it cannot be undone.
        if key == "compression_config" {
          found.quantisation = Quantisation(method: "compressed-tensors")
          return
        }
        found.quantisation = found.quantisation ?? quantisation
        if isQuantised { throw scanner.fault("\(key) stands twice", at: keyByte) }
        isQuantised = true
        found.quantisationRanges.append(keyByte..<scanner.position)
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
  /// - Parameters:
  ///   - torchName: PyTorch's name of it, as in `bfloat16`; nil where it stays as it is.
  ///   - isDequantised: whether the weights are not quantised any more.
  public func json(withDType torchName: String?, isDequantised: Bool = false) -> [UInt8] {
    var edits = torchName.map { name in dtypeRanges.map { (range: $0, text: "\"\(name)\"") } } ?? []
    if isDequantised { edits += quantisationRanges.map { (range: withComma($0), text: "") } }
    var result = json
    for edit in edits.sorted(by: { $0.range.lowerBound > $1.range.lowerBound }) {
      result.replaceSubrange(edit.range, with: edit.text.utf8)
    }
    if !saysDType, let torchName {
      let rest = result[firstMember...].first { !Self.isSpace($0) }
      let comma = rest == UInt8(ascii: "}") ? "" : ","
      result.insert(contentsOf: "\n  \"torch_dtype\": \"\(torchName)\"\(comma)".utf8, at: firstMember)
    }
    return result
  }

  /// What goes with a member of an object when it is taken out: the comma behind it and the space up to the next member, or of
  /// the last one the comma before it.
  private func withComma(_ member: Range<Int>) -> Range<Int> {
    let behind = json[member.upperBound...].firstIndex { !Self.isSpace($0) }
    if let behind, json[behind] == UInt8(ascii: ",") {
      let next = json[(behind + 1)...].firstIndex { !Self.isSpace($0) }
      return member.lowerBound..<(next ?? behind + 1)
    }
    let before = json[..<member.lowerBound].lastIndex { !Self.isSpace($0) }
    if let before, json[before] == UInt8(ascii: ",") { return before..<member.upperBound }
    return member
  }

  private static func isSpace(_ byte: UInt8) -> Bool { [0x20, 0x09, 0x0A, 0x0D].contains(byte) }
}
