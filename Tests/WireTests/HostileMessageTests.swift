import Testing
import Wire

/// Nothing from outside is believed.
@Suite struct HostileMessageTests {
  static let beat =
    #"{"epoch":5,"held":[],"isDraining":false,"jobs":[],"number":3,"seen":9,"session":"00abcdef01234567","#
    + #""type":"beat","v":1}"#

  private func error(_ json: String) -> WireError? {
    do {
      _ = try [UInt8](json: json).inbound()
      return nil
    } catch {
      return error as? WireError
    }
  }

  private func changed(_ from: String, _ to: String) -> String {
    let text = Self.beat.replacing(from, with: to)
    #expect(text != Self.beat)
    return text
  }

  // MARK: shape

  @Test("members that are not known are ignored, so that later versions can add some")
  func unknownMembers() throws {
    let more = changed(#""v":1"#, #""v":1,"new":{"deep":[1,null,"x"]}"#)
    #expect(try [UInt8](json: more).inbound() == [UInt8](json: Self.beat).inbound())
  }

  @Test("a member that is missing is named", arguments: [
    (#""epoch":5,"#, "epoch"), (#""held":[],"#, "held"), (#""number":3,"#, "number"),
    (#""session":"00abcdef01234567","#, "session"), (#""type":"beat","#, "type"), (#","v":1"#, "v"),
  ])
  func missingMembers(text: String, name: String) {
    #expect(error(changed(text, "")) == .malformed("the message has no '\(name)'"))
  }

  @Test("a member of another type is refused, and the place is named", arguments: [
    (#""epoch":5"#, #""epoch":"5""#, "epoch is of another type"),
    (#""epoch":5"#, #""epoch":null"#, "epoch is of another type"),
    (#""held":[]"#, #""held":{}"#, "held is of another type"),
    (#""held":[]"#, #""held":[7]"#, "held.0 is of another type"),
    (#""jobs":[]"#, #""jobs":[1,"2"]"#, "jobs.1 is of another type"),
    (#""isDraining":false"#, #""isDraining":0"#, "isDraining is of another type"),
    (#""type":"beat""#, #""type":1"#, "type is of another type"),
    (#""v":1"#, #""v":"1""#, "v is of another type"),
  ])
  func wrongTypes(from: String, to: String, message: String) {
    #expect(error(changed(from, to)) == .malformed(message))
  }

  @Test("what is not one JSON object is refused", arguments: [
    "", " ", "{", "[]", "7", "null", #""text""#, Self.beat + Self.beat, Self.beat + "x", #"{"v":1,"type":"beat",}"#,
    "{'v':1}", #"{"v":1"type":"beat"}"#, "\u{feff}{",
  ])
  func notAnObject(json: String) {
    guard case .malformed? = error(json) else {
      Issue.record("\(json.prefix(50)): \(String(describing: error(json)))")
      return
    }
  }

  @Test("bytes that are not UTF-8 are refused", arguments: [[0xff], [0xc3, 0x28], [0xed, 0xa0, 0x80], [0xf8], [0x00]])
  func notUTF8(bytes: [UInt8]) throws {
    let text = Array(#"{"v":1,"type":"drain-worker","request":1,"worker":""#.utf8) + bytes + Array(#""}"#.utf8)
    #expect(throws: WireError.self) { try text.inbound() }
    #expect(throws: WireError.self) { try bytes.inbound() }
  }

  @Test("nesting without end is refused and does no harm", arguments: ["[", #"{"a":"#, #"[{"a":["#])
  func nesting(text: String) {
    let deep = String(repeating: text, count: 100_000)
    #expect(error(deep) == .malformed("not JSON"))
    #expect(error(changed(#""v":1"#, #""v":1,"x":"# + deep)) == .malformed("not JSON"))
  }

  @Test("closed nesting in a member that is ignored is refused, too")
  func closedNesting() {
    let deep = String(repeating: "[", count: 100_000) + String(repeating: "]", count: 100_000)
    #expect(error(changed(#""v":1"#, #""v":1,"x":"# + deep)) == .malformed("not JSON"))
  }

  // MARK: version and type

  @Test("another version is told from nonsense, whatever else the message holds", arguments: [0, 2, -1, 1_000_000])
  func otherVersion(number: Int) {
    #expect(error(changed(#""v":1"#, #""v":\#(number)"#)) == .version(number))
    #expect(error(#"{"v":\#(number)}"#) == .version(number))
    #expect(error(#"{"v":\#(number),"type":["new"]}"#) == .version(number))
  }

  @Test("a type that is not known is named, though not at any length")
  func unknownType() {
    #expect(error(changed(#""type":"beat""#, #""type":"sing""#)) == .unknownType("sing"))
    let long = String(repeating: "x", count: 1_000_000)
    #expect(error(changed(#""type":"beat""#, #""type":"\#(long)""#)) == .unknownType(String(long.prefix(100))))
  }

  @Test("messages for the other side are not known: a coordinator takes no grants, a worker no beats of workers")
  func otherSide() throws {
    for message in Examples.coordinator {
      let bytes = CoordinatorEnvelope(session: Examples.session, epoch: 1, seq: 1, heard: 0, message: message).encoded()
      #expect(throws: WireError.self) { try bytes.inbound() }
    }
    for message in Examples.worker {
      let bytes = WorkerEnvelope(session: Examples.session, epoch: 1, message: message).encoded()
      #expect(throws: WireError.self) { try bytes.coordinatorMessage() }
      #expect(throws: WireError.self) { try bytes.dataMessage() }
    }
  }

  @Test("an error tells what is wrong in words")
  func descriptions() {
    #expect(WireError.version(3).description == "protocol version 3, where 1 is spoken")
    #expect(WireError.tooLarge(5).description == "a message of 5 bytes")
    #expect(WireError.unknownType("x").description == "the unknown type 'x'")
    #expect(WireError.malformed("x").description == "malformed: x")
  }

  // MARK: numbers

  @Test("numbers that are no integers of 64 bits are refused", arguments: [
    "9223372036854775808", "-9223372036854775809", "1e400", "1.5", "1e-1", "NaN", "Infinity", "0x10", "01", "+1", "--1",
    "99999999999999999999999999999999", #""nan""#, "true", "[]",
  ])
  func strangeNumbers(number: String) {
    guard case .malformed? = error(changed(#""epoch":5"#, #""epoch":\#(number)"#)) else {
      Issue.record("\(number) was taken")
      return
    }
  }

  @Test("numbers at the edges are taken where they do no harm", arguments: [Int.min, -1, 0, .max])
  func edges(number: Int) throws {
    let envelope = try [UInt8](json: changed(#""epoch":5"#, #""epoch":\#(number)"#)).asWorkerMessage()
    #expect(envelope.epoch == number)
  }

  @Test("counts that cannot be are refused", arguments: [
    (#""number":3"#, #""number":0"#), (#""number":3"#, #""number":-1"#), (#""seen":9"#, #""seen":-1"#),
    (#""held":[]"#, #""held":[{"job":1,"shard":0,"attempt":1,"progress":-1,"isRunning":true}]"#),
  ])
  func impossibleCounts(from: String, to: String) {
    guard case .malformed(let what)? = error(changed(from, to)) else {
      Issue.record("\(to) was taken")
      return
    }
    #expect(what.hasSuffix("is out of range"))
  }

  @Test("a session is 16 lower-case hexadecimal digits", arguments: [
    "", "0", "00ABCDEF01234567", "00abcdef0123456", "00abcdef012345678", "+0abcdef01234567", "00abcdef0123456g",
    "００abcdef01234567", " 0abcdef01234567",
  ])
  func sessions(text: String) {
    guard case .malformed? = error(changed("00abcdef01234567", text)) else {
      Issue.record("\(text) was taken")
      return
    }
    #expect(SessionID(text) == nil)
  }

  @Test("a session reads as it is written", arguments: [0, 1, 0xabc, UInt64.max])
  func sessionText(number: UInt64) {
    #expect(SessionID(SessionID(number).description) == SessionID(number))
    #expect(SessionID(number).description.utf8.count == 16)
  }
}
