import Diagnostics
import Search
import Testing

@Suite("Alphas to try") struct AlphasTests {
  @Test(
    "a range is computed in decimals",
    arguments: [
      ("0.1:0.5:0.1", [0.1, 0.2, 0.3, 0.4, 0.5]), ("0:1:0.25", [0, 0.25, 0.5, 0.75, 1]), ("-0.2:0.2:0.1", [-0.2, -0.1, 0, 0.1, 0.2]),
      ("0.1:0.55:0.1", [0.1, 0.2, 0.3, 0.4, 0.5]), ("0.3:0.3:1", [0.3]), ("1:10:3", [1, 4, 7, 10]), (".1:.3:.1", [0.1, 0.2, 0.3]),
      (" 0.1 : 0.2 : 0.05 ", [0.1, 0.15, 0.2]), ("+1:2.:1", [1, 2]),
    ])
  func range(text: String, alphas: [Double]) throws {
    #expect(try Alphas.range(text) == alphas)
  }

  @Test("every alpha of a fine range is the number that its decimals say")
  func exact() throws {
    let alphas = try Alphas.range("-0.5:0.499:0.001")
    #expect(alphas.count == 1000)
    for (index, alpha) in alphas.enumerated() {
      let thousandths = index - 500
      let digits = String(String(1000 + abs(thousandths)).dropFirst())
      #expect(alpha == Double("\(thousandths < 0 ? "-" : "")0.\(digits)"))
    }
  }

  @Test("a list is taken as it stands, doubles once")
  func list() throws {
    #expect(try Alphas.list("0.3, 0.1,0.30,-0.5,8") == [0.3, 0.1, -0.5, 8])
    #expect(try Alphas.list("-0")[0].sign == .plus)
  }

  @Test(
    "what is no list is refused",
    arguments: ["", "0.1,", "0.1;0.2", "a", "0x1", "1e3", "nan", "inf", "--1", "1.2.3", "٣", ".", "1234567890123456"])
  func noList(text: String) {
    #expect { try Alphas.list(text) } throws: { ($0 as? Failure)?.category == .usage }
  }

  @Test(
    "what is no range is refused",
    arguments: [
      "0.1", "0.1:0.5", "0.1:0.5:0", "0.1:0.5:-0.1", "0.5:0.1:0.1", "0:1:0.0001", "0.1:0.5:0.1:1", "::",
      "100000000000000:100000000000001:0.00000000000001",
    ])
  func noRange(text: String) {
    #expect { try Alphas.range(text) } throws: { ($0 as? Failure)?.category == .usage }
  }
}
