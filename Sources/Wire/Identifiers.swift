/// One connection of a worker to one life of a coordinator: a random number that the worker picks.
public struct SessionID: Sendable, Hashable {
  public let rawValue: UInt64

  public init(_ rawValue: UInt64) {
    self.rawValue = rawValue
  }
}

extension SessionID: LosslessStringConvertible, Codable {
  /// 16 lower-case hexadecimal digits.
  public var description: String {
    let digits = String(rawValue, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }

  public init?(_ description: String) {
    guard description.utf8.count == 16, let value = UInt64(description, radix: 16), Self(value).description == description
    else { return nil }
    self.init(value)
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    guard let id = try Self(container.decode(String.self)) else {
      throw DecodingError.dataCorruptedError(in: container, debugDescription: "not 16 lower-case hexadecimal digits")
    }
    self = id
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}

/// A job of a coordinator, counted from 1.
public struct JobID: Sendable, Hashable, Comparable, Codable, CustomStringConvertible {
  public let number: Int

  public init(_ number: Int) {
    self.number = number
  }

  public init(from decoder: any Decoder) throws {
    number = try decoder.singleValueContainer().decode(Int.self)
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(number)
  }

  public static func < (left: Self, right: Self) -> Bool { left.number < right.number }
  public var description: String { "\(number)" }
}

/// The n-th try at a shard of a job.
public struct Attempt: Sendable, Hashable, Codable, CustomStringConvertible {
  public let job: JobID
  public let shard: Int
  /// Counted from 1.
  public let attempt: Int

  public init(job: JobID, shard: Int, attempt: Int) {
    self.job = job
    self.shard = shard
    self.attempt = attempt
  }

  public var description: String { "job \(job) shard \(shard) attempt \(attempt)" }
}

/// Where a job's input lies.
public enum Side: String, Sendable, Codable, CaseIterable {
  case aligned, sft
}

/// How a worker reaches a file.
public enum Access: String, Sendable, Codable {
  /// It opens the file itself.
  case direct
  /// The bytes come and go in messages.
  case streamed
}
