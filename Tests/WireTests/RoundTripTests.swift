import Testing
import Wire

@Suite struct RoundTripTests {
  @Test("a session's text is sixteen digits and nothing else")
  func sessionText() {
    #expect(SessionID(0xAB).description == "00000000000000ab")
    #expect(SessionID("00000000000000ab") == SessionID(0xAB))
    #expect(SessionID("00000000000000AB") == nil)
    #expect(SessionID("+0000000000000ab") == nil)
  }
}
