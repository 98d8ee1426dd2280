public import Diagnostics

extension Problem.Code {
  public static let indexInvalid = Self("index-invalid")
}

/// A `model.safetensors.index.json`: which tensor is in which file.
public struct CheckpointIndex: Sendable, Equatable {
  /// File names by tensor name.
  public let weightMap: [String: String]

  public init(weightMap: [String: String]) {
    self.weightMap = weightMap
  }

  /// The largest index read, in bytes: 90,000 tensors take about 8 MB.
  static let sizeLimit = 100_000_000

  /// - Parameter file: its path, for errors.
  public static func parse(json: [UInt8], file: String) throws(Failure) -> CheckpointIndex {
    var weightMap: [String: String]?
    do throws(JSONScanner.Fault) {
      try withScanner(json) { (scanner) throws(JSONScanner.Fault) in
        try scanner.readObject { (scanner, key, keyByte) throws(JSONScanner.Fault) in
          guard key == "weight_map" else { return try scanner.skipValue() }
          guard weightMap == nil else { throw scanner.fault("'weight_map' stands there twice", at: keyByte) }
          var map: [String: String] = [:]
          try scanner.readObject { (scanner, tensor, keyByte) throws(JSONScanner.Fault) in
            let name = try scanner.readString()
            guard isPlainFileName(name) else {
              throw scanner.fault("'\(name)' is not the name of a file in the same folder", at: keyByte)
            }
            if let other = map.updateValue(name, forKey: tensor), other != name {
              throw scanner.fault("tensor '\(tensor)' is in two files, \(other) and \(name)", at: keyByte)
            }
          }
          weightMap = map
        }
        try scanner.expectEnd()
      }
    } catch {
      throw refusal("the index is not valid: \(error.message)", file: file, byte: error.byte)
    }
    guard let weightMap, !weightMap.isEmpty else { throw refusal("the index has no weight_map", file: file) }
    return CheckpointIndex(weightMap: weightMap)
  }

  private static func refusal(_ message: String, file: String, byte: Int? = nil) -> Failure {
    Failure(
      .badData,
      Problem(.indexInvalid, message, file: file, byte: byte, remedy: "download the index again or regenerate it"))
  }

  private static func isPlainFileName(_ name: String) -> Bool {
    !name.isEmpty && name != "." && name != ".." && !name.utf8.contains { $0 == UInt8(ascii: "/") || $0 == 0 }
  }

  /// The file as transformers writes it, names sorted.
  ///
  /// - Parameters:
  ///   - totalSize: bytes of all tensors.
  ///   - totalParameters: their elements.
  public func encoded(totalSize: Int, totalParameters: Int) -> [UInt8] {
    var json = Array(
      "{\n  \"metadata\": {\n    \"total_parameters\": \(totalParameters),\n    \"total_size\": \(totalSize)\n  },\n  \"weight_map\": {"
        .utf8)
    for (index, (tensor, file)) in weightMap.sorted(by: { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) })
      .enumerated()
    {
      json.append(contentsOf: (index > 0 ? ",\n    " : "\n    ").utf8)
      json.append(string: tensor)
      json.append(contentsOf: ": ".utf8)
      json.append(string: file)
    }
    json.append(contentsOf: "\n  }\n}\n".utf8)
    return json
  }
}

func withScanner(
  _ json: [UInt8], _ body: (inout JSONScanner) throws(JSONScanner.Fault) -> Void
) throws(JSONScanner.Fault) {
  let fault: JSONScanner.Fault? = json.withUnsafeBufferPointer { buffer in
    var scanner = JSONScanner(buffer)
    do throws(JSONScanner.Fault) { try body(&scanner) } catch { return error }
    return nil
  }
  if let fault { throw fault }
}
