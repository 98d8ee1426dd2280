extension WorkerEnvelope {
  public func encoded() -> [UInt8] {
    let members: [(String, any Encodable)] = [("session", session), ("epoch", epoch)]
    return switch message {
    case .hello(let body): Codec.encode("hello", members, body)
    case .beat(let body): Codec.encode("beat", members, body)
    case .prepared(let body): Codec.encode("prepared", members, body)
    case .finished(let body): Codec.encode("finished", members, body)
    case .failed(let body): Codec.encode("failed", members, body)
    case .goodbye(let body): Codec.encode("goodbye", members, body)
    }
  }
}

extension WorkerEnvelope: TypedMessage {
  init?(type: String, from decoder: any Decoder) throws {
    switch type {
    case "hello": message = .hello(try .init(from: decoder))
    case "beat": message = .beat(try .init(from: decoder))
    case "prepared": message = .prepared(try .init(from: decoder))
    case "finished": message = .finished(try .init(from: decoder))
    case "failed": message = .failed(try .init(from: decoder))
    case "goodbye": message = .goodbye(try .init(from: decoder))
    default: return nil
    }
    try message.check()
    let container = try decoder.container(keyedBy: Codec.Key.self)
    session = try container.decode(SessionID.self, forKey: .init("session"))
    epoch = try container.decode(Int.self, forKey: .init("epoch"))
  }
}

extension CoordinatorEnvelope {
  public func encoded() -> [UInt8] {
    let members: [(String, any Encodable)] = [("session", session), ("epoch", epoch), ("seq", seq), ("heard", heard)]
    return switch message {
    case .welcome(let body): Codec.encode("welcome", members, body)
    case .rejected(let body): Codec.encode("rejected", members, body)
    case .job(let body): Codec.encode("job", members, body)
    case .forget(let body): Codec.encode("forget", members, body)
    case .grant(let body): Codec.encode("grant", members, body)
    case .check(let body): Codec.encode("check", members, body)
    case .sum(let body): Codec.encode("sum", members, body)
    case .acknowledge(let body): Codec.encode("acknowledge", members, body)
    case .revoke(let body): Codec.encode("revoke", members, body)
    case .drain(let body): Codec.encode("drain", members, body)
    case .beat(let body): Codec.encode("beat", members, body)
    }
  }

  /// Reads what a worker receives.
  public static func decode(_ bytes: UnsafeRawBufferPointer) throws(WireError) -> CoordinatorEnvelope {
    try Codec.decode(bytes, limit: Limits.controlBytes)
  }
}

extension CoordinatorEnvelope: TypedMessage {
  init?(type: String, from decoder: any Decoder) throws {
    switch type {
    case "welcome": message = .welcome(try .init(from: decoder))
    case "rejected": message = .rejected(try .init(from: decoder))
    case "job": message = .job(try .init(from: decoder))
    case "forget": message = .forget(try .init(from: decoder))
    case "grant": message = .grant(try .init(from: decoder))
    case "check": message = .check(try .init(from: decoder))
    case "sum": message = .sum(try .init(from: decoder))
    case "acknowledge": message = .acknowledge(try .init(from: decoder))
    case "revoke": message = .revoke(try .init(from: decoder))
    case "drain": message = .drain(try .init(from: decoder))
    case "beat": message = .beat(try .init(from: decoder))
    default: return nil
    }
    try message.check()
    let container = try decoder.container(keyedBy: Codec.Key.self)
    session = try container.decode(SessionID.self, forKey: .init("session"))
    epoch = try container.decode(Int.self, forKey: .init("epoch"))
    seq = try container.decode(Int.self, forKey: .init("seq"))
    heard = try container.decode(Int.self, forKey: .init("heard"))
  }
}

/// What a coordinator receives on its control socket.
public enum Inbound: Sendable, Equatable {
  case worker(WorkerEnvelope)
  /// With a number of the client's choice, which comes back.
  case client(ClientRequest, request: Int)

  public static func decode(_ bytes: UnsafeRawBufferPointer) throws(WireError) -> Inbound {
    try Codec.decode(bytes, limit: Limits.controlBytes)
  }
}

extension Inbound: TypedMessage {
  init?(type: String, from decoder: any Decoder) throws {
    if let envelope = try WorkerEnvelope(type: type, from: decoder) {
      self = .worker(envelope)
      return
    }
    let request: ClientRequest
    switch type {
    case "status": request = .status(try .init(from: decoder))
    case "submit": request = .submit(try .init(from: decoder))
    case "verify": request = .verify(try .init(from: decoder))
    case "cancel": request = .cancel(try .init(from: decoder))
    case "resume": request = .resume(try .init(from: decoder))
    case "drain-worker": request = .drainWorker(try .init(from: decoder))
    default: return nil
    }
    try request.check()
    let container = try decoder.container(keyedBy: Codec.Key.self)
    self = .client(request, request: try container.decode(Int.self, forKey: .init("request")))
  }
}

extension ClientRequest {
  public func encoded(request: Int) -> [UInt8] {
    let members: [(String, any Encodable)] = [("request", request)]
    return switch self {
    case .status(let body): Codec.encode("status", members, body)
    case .submit(let body): Codec.encode("submit", members, body)
    case .verify(let body): Codec.encode("verify", members, body)
    case .cancel(let body): Codec.encode("cancel", members, body)
    case .resume(let body): Codec.encode("resume", members, body)
    case .drainWorker(let body): Codec.encode("drain-worker", members, body)
    }
  }
}

extension ClientReply {
  public func encoded(request: Int) -> [UInt8] {
    let members: [(String, any Encodable)] = [("request", request)]
    return switch self {
    case .status(let body): Codec.encode("status", members, body)
    case .submitted(let body): Codec.encode("submitted", members, body)
    case .done(let body): Codec.encode("done", members, body)
    case .error(let body): Codec.encode("error", members, body)
    }
  }

  /// Reads what a client receives: the answer and the number of its request.
  public static func decode(_ bytes: UnsafeRawBufferPointer) throws(WireError) -> (reply: ClientReply, request: Int) {
    let numbered: Numbered = try Codec.decode(bytes, limit: Limits.controlBytes)
    return (numbered.reply, numbered.request)
  }

  private struct Numbered: TypedMessage {
    let reply: ClientReply
    let request: Int

    init?(type: String, from decoder: any Decoder) throws {
      switch type {
      case "status": reply = .status(try .init(from: decoder))
      case "submitted": reply = .submitted(try .init(from: decoder))
      case "done": reply = .done(try .init(from: decoder))
      case "error": reply = .error(try .init(from: decoder))
      default: return nil
      }
      request = try decoder.container(keyedBy: Codec.Key.self).decode(Int.self, forKey: .init("request"))
    }
  }
}
