import Diagnostics
import Digests
import FoundationEssentials
import GRDB
import SystemPackage

/// The columns of a row, one after the other. The file may have been edited, so types and ranges are checked.
struct RowReader {
  private let row: Row
  private let table: String
  private let path: FilePath
  private var next = 0

  init(_ row: Row, of table: String, in path: FilePath) {
    self.row = row
    self.table = table
    self.path = path
  }

  func invalid(_ column: String) -> Failure {
    Failure.journalInvalid("is damaged: a row of \(table) has an impossible \(column)", path)
  }

  private mutating func value() -> DatabaseValue.Storage {
    defer { next += 1 }
    return (row[next] as DatabaseValue).storage
  }

  mutating func integer(_ column: String, from least: Int = 0) throws(Failure) -> Int {
    guard case .int64(let number) = value(), let number = Int(exactly: number), number >= least else { throw invalid(column) }
    return number
  }

  mutating func optionalInteger(_ column: String, from least: Int = 0) throws(Failure) -> Int? {
    if isNull { return nil }
    return try integer(column, from: least)
  }

  mutating func text(_ column: String) throws(Failure) -> String {
    guard case .string(let text) = value() else { throw invalid(column) }
    return text
  }

  mutating func blob(_ column: String) throws(Failure) -> Data {
    guard case .blob(let data) = value() else { throw invalid(column) }
    return data
  }

  mutating func digest(_ column: String) throws(Failure) -> Digest128 {
    guard let digest = Digest128(blob: try blob(column)) else { throw invalid(column) }
    return digest
  }

  mutating func json<Value: Decodable>(_ type: Value.Type, _ column: String) throws(Failure) -> Value {
    guard let value = StoredJSON.decode(type, try text(column)) else { throw invalid(column) }
    return value
  }

  mutating func optionalJSON<Value: Decodable>(_ type: Value.Type, _ column: String) throws(Failure) -> Value? {
    if isNull { return nil }
    return try json(type, column)
  }

  /// Whether the next column is NULL, which is then skipped.
  private var isNull: Bool {
    mutating get {
      guard case .null = (row[next] as DatabaseValue).storage else { return false }
      next += 1
      return true
    }
  }
}

/// Values that are kept as JSON.
enum StoredJSON {
  static func encode(_ value: some Encodable) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    encoder.nonConformingFloatEncodingStrategy = .convertToString(positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    guard let data = try? encoder.encode(value) else { preconditionFailure("what is kept is always valid JSON") }
    return String(decoding: data, as: UTF8.self)
  }

  static func decode<Value: Decodable>(_ type: Value.Type, _ text: String) -> Value? {
    let decoder = JSONDecoder()
    decoder.nonConformingFloatDecodingStrategy = .convertFromString(positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    return try? decoder.decode(type, from: Data(text.utf8))
  }
}

/// `Problem` as JSON.
struct StoredProblem: Codable {
  var code: String
  var message: String
  var file: String?
  var tensor: String?
  var byte: Int?
  var remedy: String?

  init(_ problem: Problem) {
    code = problem.code.description
    message = problem.message
    file = problem.file
    tensor = problem.tensor
    byte = problem.byte
    remedy = problem.remedy
  }

  var problem: Problem {
    Problem(Problem.Code(code), message, file: file, tensor: tensor, byte: byte, remedy: remedy)
  }
}

extension Digest128 {
  /// 16 bytes, the high half first, so that `hex(blob)` is the digest as it is printed.
  var blob: Data {
    var data = Data(capacity: 16)
    withUnsafeBytes(of: (high.bigEndian, low.bigEndian)) { data.append(contentsOf: $0) }
    return data
  }

  init?(blob: Data) {
    guard blob.count == 16 else { return nil }
    self = blob.withUnsafeBytes {
      Digest128(
        high: UInt64(bigEndian: $0.loadUnaligned(as: UInt64.self)),
        low: UInt64(bigEndian: $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
    }
  }
}
