public import Diagnostics

extension Problem.Code {
  public static let headerTooShort = Self("header-too-short")
  public static let headerTooLarge = Self("header-too-large")
  public static let headerBeyondFile = Self("header-beyond-file")
  public static let headerNotUTF8 = Self("header-not-utf8")
  public static let headerNotJSON = Self("header-not-json")
  public static let metadataInvalid = Self("metadata-invalid")
  public static let tensorInvalid = Self("tensor-invalid")
  public static let tensorDuplicated = Self("tensor-duplicated")
  public static let dtypeUnknown = Self("dtype-unknown")
  public static let shapeInvalid = Self("shape-invalid")
  public static let shapeOverflows = Self("shape-overflows")
  public static let offsetsInvalid = Self("offsets-invalid")
  public static let offsetsReversed = Self("offsets-reversed")
  public static let offsetsLeaveHole = Self("offsets-leave-hole")
  public static let offsetsOverlap = Self("offsets-overlap")
  public static let sizeMismatch = Self("size-mismatch")
  public static let partOfByte = Self("part-of-byte")
  public static let dataMissing = Self("data-missing")
  public static let dataTrailing = Self("data-trailing")
}

extension SafetensorsHeader {
  /// The length of the JSON, from the first bytes of a file.
  ///
  /// - Parameters:
  ///   - prefix: the first 8 bytes of the file, or all of a shorter one.
  ///   - fileSize: bytes.
  ///   - file: its path, for errors.
  public static func jsonLength(prefix: [UInt8], fileSize: Int, file: String) throws(Failure) -> Int {
    guard prefix.count >= 8, fileSize >= 8 else {
      throw refusal(.headerTooShort, "is \(fileSize) bytes long; a safetensors file has at least 8", file: file)
    }
    let length = prefix.prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    guard length <= UInt64(lengthLimit) else {
      throw refusal(
        .headerTooLarge, "the header's length is \(length) bytes; \(lengthLimit) are the limit", file: file, byte: 0)
    }
    guard Int(length) <= fileSize - 8 else {
      throw refusal(
        .headerBeyondFile, "the header is \(length) bytes long but the file ends after \(fileSize - 8) of them",
        file: file, byte: 0)
    }
    return Int(length)
  }

  /// Parses and checks the JSON of a header.
  ///
  /// Accepts what the reference reader accepts, save duplicate tensor names, duplicate metadata keys that disagree,
  /// and dimensions of 2^63 or more (docs/file-formats.md).
  ///
  /// - Parameters:
  ///   - json: the bytes after the length.
  ///   - fileSize: bytes of the whole file, which must end where the last tensor does.
  ///   - file: its path, for errors.
  /// - Throws: `badData` with one problem naming file, tensor and byte.
  public static func parse(json: UnsafeBufferPointer<UInt8>, fileSize: Int, file: String) throws(Failure)
    -> SafetensorsHeader
  {
    var reader = HeaderReader(file: file, jsonLength: json.count)
    var scanner = JSONScanner(json)
    try reader.read(&scanner)
    return try reader.checked(fileSize: fileSize)
  }

  fileprivate static func refusal(
    _ code: Problem.Code, _ message: String, file: String, tensor: String? = nil, byte: Int? = nil
  ) -> Failure {
    Failure(
      .badData,
      Problem(
        code, message, file: file, tensor: tensor, byte: byte, remedy: "download or convert the file again"))
  }
}

/// Collects the members of a header, then checks them against each other.
private struct HeaderReader {
  let file: String
  let jsonLength: Int
  var metadata: [String: String] = [:]
  var entries: [Entry] = []
  var names: Set<String> = []

  struct Entry {
    let name: String
    let dtype: DType
    let shape: [Int]
    let begin: UInt64
    let end: UInt64
    /// Where its name stands in the file.
    let byte: Int
  }

  func refusal(_ code: Problem.Code, _ message: String, tensor: String? = nil, byte: Int? = nil) -> Failure {
    SafetensorsHeader.refusal(code, message, file: file, tensor: tensor, byte: byte)
  }

  func refusal(_ fault: JSONScanner.Fault, _ code: Problem.Code = .headerNotJSON, tensor: String? = nil) -> Failure {
    let isEncoding = fault.message == "not UTF-8"
    return refusal(
      isEncoding ? .headerNotUTF8 : code, "the header is not valid: \(fault.message)", tensor: tensor,
      byte: 8 + fault.byte)
  }

  mutating func read(_ scanner: inout JSONScanner) throws(Failure) {
    var reader = self
    var sawMetadata = false
    try scanner.readObject(
      { (scanner, key, keyByte) throws(Failure) in
        if key == "__metadata__" {
          if sawMetadata {
            throw reader.refusal(.metadataInvalid, "__metadata__ stands there twice", byte: 8 + keyByte)
          }
          sawMetadata = true
          try reader.readMetadata(&scanner)
        } else {
          guard reader.names.insert(key).inserted else {
            throw reader.refusal(
              .tensorDuplicated, "the header names the tensor twice", tensor: key, byte: 8 + keyByte)
          }
          reader.entries.append(try reader.readTensor(&scanner, name: key, byte: 8 + keyByte))
        }
      }, orFault: { reader.refusal($0) })
    do throws(JSONScanner.Fault) { try scanner.expectEnd() } catch { throw reader.refusal(error) }
    self = reader
  }

  mutating func readMetadata(_ scanner: inout JSONScanner) throws(Failure) {
    var metadata: [String: String] = [:]
    do throws(JSONScanner.Fault) {
      if try scanner.readNull() { return }
      try scanner.readObject { (scanner, key, keyByte) throws(JSONScanner.Fault) in
        let value = try scanner.readString()
        if let other = metadata.updateValue(value, forKey: key), other != value {
          throw scanner.fault("__metadata__ gives two values for '\(key)'", at: keyByte)
        }
      }
    } catch {
      throw refusal(error, .metadataInvalid)
    }
    self.metadata = metadata
  }

  func readTensor(_ scanner: inout JSONScanner, name: String, byte: Int) throws(Failure) -> Entry {
    var dtype: DType?
    var shape: [Int]?
    var offsets: [UInt64]?
    var code = Problem.Code.tensorInvalid
    do throws(JSONScanner.Fault) {
      try scanner.readObject { (scanner, key, keyByte) throws(JSONScanner.Fault) in
        switch key {
        case "dtype":
          if dtype != nil { throw scanner.fault("'dtype' stands there twice", at: keyByte) }
          code = .dtypeUnknown
          _ = scanner.peek()
          let valueByte = scanner.position
          let name = try scanner.readString()
          dtype = DType(rawValue: name)
          if dtype == nil { throw scanner.fault("the dtype '\(name)' is unknown", at: valueByte) }
        case "shape":
          if shape != nil { throw scanner.fault("'shape' stands there twice", at: keyByte) }
          code = .shapeInvalid
          var dimensions: [Int] = []
          try scanner.readArray { scanner throws(JSONScanner.Fault) in
            let dimension = try scanner.readUnsigned()
            guard let length = Int(exactly: dimension) else {
              throw scanner.fault("a dimension of \(dimension) is too large")
            }
            dimensions.append(length)
          }
          shape = dimensions
        case "data_offsets":
          if offsets != nil { throw scanner.fault("'data_offsets' stands there twice", at: keyByte) }
          code = .offsetsInvalid
          var pair: [UInt64] = []
          try scanner.readArray { scanner throws(JSONScanner.Fault) in
            guard pair.count < 2 else { throw scanner.fault("data_offsets has more than two numbers") }
            pair.append(try scanner.readUnsigned())
          }
          guard pair.count == 2 else { throw scanner.fault("data_offsets has fewer than two numbers", at: keyByte) }
          offsets = pair
        default:
          try scanner.skipValue()
        }
        code = .tensorInvalid
      }
    } catch {
      throw refusal(error, code, tensor: name)
    }
    guard let dtype, let shape, let offsets else {
      let missing = dtype == nil ? "dtype" : shape == nil ? "shape" : "data_offsets"
      throw refusal(.tensorInvalid, "the header gives no \(missing)", tensor: name, byte: byte)
    }
    return Entry(name: name, dtype: dtype, shape: shape, begin: offsets[0], end: offsets[1], byte: byte)
  }

  /// The tensors must cover the data from end to end, each with as many bytes as its shape says.
  consuming func checked(fileSize: Int) throws(Failure) -> SafetensorsHeader {
    let dataStart = 8 + jsonLength
    let dataSize = UInt64(fileSize - dataStart)
    entries.sort { ($0.begin, $0.end) < ($1.begin, $1.end) }
    var tensors: [SafetensorsHeader.Tensor] = []
    tensors.reserveCapacity(entries.count)
    var end: UInt64 = 0
    for entry in entries {
      guard entry.begin <= entry.end else {
        throw refusal(
          .offsetsReversed, "data_offsets end at \(entry.end), before they begin at \(entry.begin)",
          tensor: entry.name, byte: entry.byte)
      }
      guard entry.begin >= end else {
        throw refusal(
          .offsetsOverlap, "its data begin at \(entry.begin), inside those of another tensor, which end at \(end)",
          tensor: entry.name, byte: entry.byte)
      }
      guard entry.begin == end else {
        throw refusal(
          .offsetsLeaveHole, "its data begin at \(entry.begin), which leaves a hole of \(entry.begin - end) bytes",
          tensor: entry.name, byte: entry.byte)
      }
      try checkSize(of: entry)
      guard entry.end <= dataSize else {
        throw refusal(
          .dataMissing, "its data end at \(entry.end), but the file has only \(dataSize) bytes of data",
          tensor: entry.name, byte: dataStart)
      }
      end = entry.end
      tensors.append(
        .init(name: entry.name, dtype: entry.dtype, shape: entry.shape, range: Int(entry.begin)..<Int(entry.end)))
    }
    guard end == dataSize else {
      throw refusal(
        .dataTrailing, "\(dataSize - end) bytes follow the last tensor's data", byte: dataStart + Int(end))
    }
    return SafetensorsHeader(tensors: tensors, metadata: metadata, dataStart: dataStart, fileSize: fileSize)
  }

  private func checkSize(of entry: Entry) throws(Failure) {
    guard let bits = entry.dtype.bitCount(ofShape: entry.shape) else {
      throw refusal(
        .shapeOverflows, "the shape \(entry.shape) has more bits than 64 bits can count", tensor: entry.name, byte: entry.byte)
    }
    guard bits % 8 == 0 else {
      throw refusal(
        .partOfByte, "\(entry.dtype.rawValue) of shape \(entry.shape) does not end on a whole byte",
        tensor: entry.name, byte: entry.byte)
    }
    guard UInt64(bits / 8) == entry.end - entry.begin else {
      throw refusal(
        .sizeMismatch,
        "\(entry.dtype.rawValue) of shape \(entry.shape) takes \(bits / 8) bytes, but data_offsets give it \(entry.end - entry.begin)",
        tensor: entry.name, byte: entry.byte)
    }
  }
}
