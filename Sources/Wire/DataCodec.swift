extension DataMessage {
  public func encoded() -> [UInt8] {
    switch self {
    case .fetch(let body): Codec.encode("fetch", [], body)
    case .chunk(let body): Codec.encode("chunk", [], body)
    case .store(let body): Codec.encode("store", [], body)
    case .stored(let body): Codec.encode("stored", [], body)
    case .refused(let body): Codec.encode("refused", [], body)
    }
  }

  public static func decode(_ bytes: UnsafeRawBufferPointer) throws(WireError) -> DataMessage {
    try Codec.decode(bytes, limit: Limits.dataHeaderBytes)
  }
}

extension DataMessage: TypedMessage {
  init?(type: String, from decoder: any Decoder) throws {
    switch type {
    case "fetch":
      let fetch = try Fetch(from: decoder)
      try require((1...Limits.chunkBytes).contains(fetch.count), "count")
      try require((0..<1 << 60).contains(fetch.offset) && fetch.file >= 0, "offset or file")
      self = .fetch(fetch)
    case "chunk": self = .chunk(try .init(from: decoder))
    case "store":
      let store = try Store(from: decoder)
      try require((0..<1 << 60).contains(store.offset), "offset")
      self = .store(store)
    case "stored": self = .stored(try .init(from: decoder))
    case "refused": self = .refused(try .init(from: decoder))
    default: return nil
    }
  }
}
