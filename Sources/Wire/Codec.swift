import FoundationEssentials

/// Why a message could not be read.
public enum WireError: Error, Sendable, Equatable, CustomStringConvertible {
  /// Of another version of the protocol.
  case version(Int)
  case tooLarge(Int)
  case unknownType(String)
  /// Not JSON, or not with the members that its type has, or with values out of range.
  case malformed(String)

  public var description: String {
    switch self {
    case .version(let number): "protocol version \(number), where \(Codec.version) is spoken"
    case .tooLarge(let count): "a message of \(count) bytes"
    case .unknownType(let name): "the unknown type '\(name)'"
    case .malformed(let what): "malformed: \(what)"
    }
  }
}

/// Messages to JSON and back: one object, with `v` and `type` and the members of its type beside them.
public enum Codec {
  /// Of the protocol. Another one is refused.
  public static let version = 1

  struct Key: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }

    init(_ name: String) {
      stringValue = name
    }

    init?(stringValue: String) {
      self.init(stringValue)
    }

    init?(intValue: Int) {
      nil
    }
  }

  /// An object whose members come from several values.
  private struct Joined: Encodable {
    let type: String
    let members: [(String, any Encodable)]
    let body: any Encodable

    func encode(to encoder: any Encoder) throws {
      var container = encoder.container(keyedBy: Key.self)
      try container.encode(Codec.version, forKey: Key("v"))
      try container.encode(type, forKey: Key("type"))
      for (name, value) in members { try container.encode(value, forKey: Key(name)) }
      try body.encode(to: encoder)
    }
  }

  static func encode(_ type: String, _ members: [(String, any Encodable)] = [], _ body: any Encodable) -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    guard let data = try? encoder.encode(Joined(type: type, members: members, body: body)) else {
      preconditionFailure("a message is always valid JSON")
    }
    return Array(data)
  }

  /// Reads a message of one of the types that `Message` knows, in one pass.
  static func decode<Message: TypedMessage>(
    _ bytes: UnsafeRawBufferPointer, limit: Int, as _: Message.Type = Message.self
  ) throws(WireError) -> Message {
    guard bytes.count <= limit else { throw .tooLarge(bytes.count) }
    let decoder = JSONDecoder()
    decoder.nonConformingFloatDecodingStrategy = .convertFromString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    do {
      return try decoder.decode(Tagged<Message>.self, from: Data(bytes)).message
    } catch let error as WireError {
      throw error
    } catch let error as DecodingError {
      throw .malformed(describe(error))
    } catch {
      throw .malformed("not JSON")
    }
  }

  private struct Tagged<Message: TypedMessage>: Decodable {
    let message: Message

    init(from decoder: any Decoder) throws {
      let container = try decoder.container(keyedBy: Key.self)
      let version = try container.decode(Int.self, forKey: Key("v"))
      guard version == Codec.version else { throw WireError.version(version) }
      let type = try container.decode(String.self, forKey: Key("type"))
      guard let message = try Message(type: type, from: decoder) else {
        throw WireError.unknownType(String(type.prefix(100)))
      }
      self.message = message
    }
  }

  private static func describe(_ error: DecodingError) -> String {
    func path(_ context: DecodingError.Context) -> String {
      let names = context.codingPath.map { $0.intValue.map(String.init) ?? $0.stringValue }
      return names.isEmpty ? "the message" : String(names.joined(separator: ".").prefix(100))
    }
    switch error {
    case .keyNotFound(let key, let context): return "\(path(context)) has no '\(key.stringValue)'"
    case .typeMismatch(_, let context), .valueNotFound(_, let context): return "\(path(context)) is of another type"
    case .dataCorrupted(let context):
      return context.codingPath.isEmpty ? "not JSON" : "\(path(context)): \(context.debugDescription.prefix(100))"
    @unknown default: return "not readable"
    }
  }
}

/// A set of messages that are told apart by `type`.
protocol TypedMessage {
  /// nil where it is none of them.
  init?(type: String, from decoder: any Decoder) throws
}

/// Checks a value from outside.
func require(_ condition: Bool, _ what: @autoclosure () -> String) throws(WireError) {
  guard condition else { throw .malformed("\(what()) is out of range") }
}
