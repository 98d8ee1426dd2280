import Keys
import Testing
import ZeroMQ

@testable import Transport

@Suite struct ZAPMessageTests {
  static let key = SecretKey().publicKey

  /// A question as libzmq asks it, with some of its parts replaced.
  func question(_ changes: [Int: [UInt8]] = [:], count: Int = 9) -> [Frame] {
    var parts: [[UInt8]] = [[1, 2, 3], []] + ["1.0", "1", "expomerge", "10.0.0.7", "", "CURVE"].map { Array($0.utf8) }
    parts.append(Self.key.bytes)
    for (index, part) in changes { parts[index] = part }
    return parts.prefix(count).map { Frame($0) }
  }

  func keys(_ roles: Set<Role> = [.worker]) -> AuthorizedKeys {
    let certificate = Certificate(Self.key, metadata: ["role": roles.list])
    return AuthorizedKeys([.init(name: "node-7", file: "node-7.key", certificate: .success(certificate))])
  }

  func judge(_ parts: [Frame], _ keys: AuthorizedKeys) -> Result<AuthorizedKeys.Entry, ZAPRequest.Refused>? {
    guard case .request(let request, _) = ZAPRequest.read(parts, wasCut: false) else { return nil }
    return request.judged(by: keys, domain: "expomerge")
  }

  @Test("a known key is let in, as its fingerprint")
  func admitted() throws {
    guard case .request(let request, let answering) = ZAPRequest.read(question(), wasCut: false) else {
      Issue.record("not read")
      return
    }
    #expect(request.address == "10.0.0.7")
    #expect(try request.judged(by: keys(), domain: "expomerge").get().name == "node-7")
    let reply = ZAPReply.admitted("0011").frames(answering).map(\.bytes)
    #expect(reply == [[1, 2, 3], []] + ["1.0", "1", "200", "OK", "0011", ""].map { Array($0.utf8) })
  }

  @Test("an unknown key, another domain, another mechanism, and what is no key are not")
  func refused() {
    let keys = keys()
    #expect(judge(question(), AuthorizedKeys()) == .failure(.init(.unknownKey, Self.key)))
    #expect(judge(question([4: Array("global".utf8)]), keys) == .failure(.init(.otherDomain)))
    #expect(judge(question([4: []]), keys) == .failure(.init(.otherDomain)))
    #expect(judge(question([7: Array("PLAIN".utf8)]), keys) == .failure(.init(.otherMechanism)))
    #expect(judge(question([7: Array("NULL".utf8)], count: 8), keys) == .failure(.init(.otherMechanism)))
    #expect(judge(question([8: Array(Self.key.bytes.dropLast())]), keys) == .failure(.init(.noKey)))
    #expect(judge(question([8: [UInt8](repeating: 0, count: 32)]), keys) == .failure(.init(.noKey)))
    #expect(judge(question(count: 8), keys) == .failure(.init(.noKey)))
  }

  @Test("malformed questions are answered by 500 where that is possible, and else dropped")
  func malformed() {
    for parts in [question([2: Array("2.0".utf8)]), question(count: 7), question([5: [UInt8](repeating: 65, count: 256)])] {
      guard case .malformed(let answering) = ZAPRequest.read(parts, wasCut: false) else {
        Issue.record("read")
        continue
      }
      #expect(ZAPReply.malformed.frames(answering)[4].bytes == Array("500".utf8))
    }
    guard case .malformed = ZAPRequest.read(question(), wasCut: true) else {
      Issue.record("read")
      return
    }
    for parts in [[], question(count: 1), question(count: 3), question([1: [1]]), question([3: [UInt8](repeating: 1, count: 256)])] {
      #expect(ZAPRequest.read(parts, wasCut: false) == .unanswerable)
    }
  }

  @Test("refusals are told once a minute for each peer, and a flood of peers costs neither memory nor lines")
  func log() {
    var log = RefusalLog()
    let told = [("a", 0), ("a", 59_999_999_999), ("b", 1), ("a", 60_000_000_000)].map { log.shouldTell($0, at: $1) }
    #expect(told == [true, false, true, true])
    let flood = (0..<10_000).count { log.shouldTell("peer \($0)", at: 60_000_000_001) }
    #expect(flood == RefusalLog.limit - 1)
    let late = log.shouldTell("late", at: 120_000_000_001)
    #expect(late)
  }
}
