import Deltas
import Diagnostics
import Foundation
import FoundationXML
import Kernels
import Report
import Testing

@Suite("Reports")
struct ReportTests {
  // MARK: what is on a page

  /// A delta whose relative norm is `change`.
  private static func delta(_ name: String, change: Double, hasShape: Bool = false) -> TensorDelta {
    var sums = DeltaSums()
    sums.elements = 1000
    sums.alignedSquared = 1
    sums.sftSquared = 1
    sums.dot = 1 - change * change / 2
    sums.deltaSquared = change * change
    sums.largestDelta = change
    var shape = DeltaShape()
    shape.deltaFourth = 3e-3 * change * change * change * change
    shape.magnitudes[40] = 1000
    return TensorDelta(name, DeltaMeasure(sums, shape: hasShape ? shape : nil), elements: 1000)
  }

  private static func layers(_ count: Int, modules: [String] = ["self_attn.q_proj", "mlp.up_proj"], prefix: String = "model.layers") -> [TensorDelta] {
    (0..<count).flatMap { layer in modules.map { delta("\(prefix).\(layer).\($0).weight", change: 0.001 * Double(1 + layer % 9)) } }
  }

  private func report(
    _ tensors: [TensorDelta], title: String = "out", problems: [Problem] = [], rows: [Report.Row] = [.init("alpha", "0.3")],
    work: [WorkLog.Entry] = [], alphas: [Double] = [0.3]
  ) -> Report {
    let summary = DeltaSummary(tensors)
    return Report(
      title: title, subtitle: title, summary: summary, verdict: DeltaJudgement.verdict(on: summary.total.sums), problems: problems,
      recipe: rows, alphas: alphas, work: WorkLog(work), footer: title)
  }

  /// The page as an XML parser reads it, which accepts nothing that is not escaped and closed.
  private final class Page: NSObject, XMLParserDelegate {
    private(set) var elements: [(name: String, attributes: [String: String])] = []
    private(set) var text = ""

    init(_ html: String) throws {
      super.init()
      let body = try #require(html.range(of: "<html")).lowerBound
      let parser = XMLParser(data: Data(html[body...].utf8))
      parser.delegate = self
      let isRead = parser.parse()
      #expect(isRead, "\(parser.lineNumber): \(String(describing: parser.parserError))")
    }

    func parser(
      _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?,
      attributes: [String: String]
    ) {
      elements.append((name, attributes))
    }

    func parser(_ parser: XMLParser, foundCharacters characters: String) { text += characters }

    func count(_ name: String, class: String? = nil) -> Int {
      elements.count { $0.name == name && (`class` == nil || $0.attributes["class"] == `class`) }
    }
  }

  @Test("is one page that needs nothing else")
  func page() throws {
    let html = report(Self.layers(4) + [Self.delta("lm_head.weight", change: 0.01, hasShape: true)]).html
    let page = try Page(html)
    #expect(html.hasPrefix("<!DOCTYPE html>\n<html lang=\"en\">"))
    for name in ["script", "link", "img", "iframe", "object"] { #expect(page.count(name) == 0, "\(name)") }
    #expect(!page.elements.contains { $0.attributes.keys.contains { $0 == "src" || $0 == "href" || $0.hasPrefix("on") } })
    for word in ["http:", "https:", "url(", "@import"] { #expect(!html.contains(word), "\(word)") }
    #expect(html.contains("prefers-color-scheme:dark"))
  }

  @Test("has a cell for each module of each layer, deeper where more changed")
  func heatMap() throws {
    let page = try Page(report(Self.layers(9) + [Self.delta("model.layers.9.mlp.up_proj.weight", change: 0)]).html)
    let cells = page.elements.filter { $0.name == "i" && $0.attributes["title"]?.hasPrefix("layer") == true }
    #expect(cells.count == 19)
    func color(_ title: String) -> String? { cells.first { $0.attributes["title"] == title }?.attributes["class"] }
    #expect(color("layer 0, mlp.up_proj: 0.100 %") == "c0")
    #expect(color("layer 8, mlp.up_proj: 0.900 %") == "c6")
    #expect(color("layer 9, mlp.up_proj: unchanged") == "zero")
    // A module that a layer lacks.
    #expect(page.count("i", class: "none") == 1)
  }

  @Test("marks the alphas of the recipe among those that are usual, with what they add")
  func alphas() throws {
    let page = try Page(report([Self.delta("w", change: 0.002)], alphas: [-0.5, 0.3]).html)
    #expect(page.count("span", class: "bar marked") == 2)
    #expect(page.text.contains("0.3, in this recipe") && page.text.contains("0.0600 %") && page.text.contains("-0.5, in this recipe"))
  }

  @Test("shows hostile names as they are, and as nothing else", arguments: [
    "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "' onmouseover='alert(1)", "]]><!--", "&lt;&amp;", "a\u{0}b\u{1B}[31m\u{202E}x",
    "\u{FFFE}\u{FFFF}", "</style></title>", "{}*{display:none}",
  ])
  func hostile(name: String) throws {
    let plain = try Page(report(Self.layers(2), problems: [Problem(.layerStandsOut, "m", tensor: "t")], work: [.init(worker: "w", bytes: 1, milliseconds: 1, finishedAt: 5)]).html)
    let tensors = Self.layers(2, modules: [name + ".q_proj", "mlp.\(name)"]) + [Self.delta(name, change: 0.01)]
    let problem = Problem(.layerStandsOut, name, file: name, tensor: name, remedy: name)
    let html = report(
      tensors, title: name, problems: [problem], rows: [.init(name, name)],
      work: [.init(worker: name, bytes: 1, milliseconds: 1, finishedAt: 5)]).html
    let page = try Page(html)
    #expect(Set(page.elements.map(\.name)).isSubset(of: Set(plain.elements.map(\.name))))
    #expect(Set(page.elements.flatMap(\.attributes.keys)) == Set(plain.elements.flatMap(\.attributes.keys)))
    #expect(page.text.contains(printable(name).replacing("\u{FFFE}", with: "\u{FFFD}").replacing("\u{FFFF}", with: "\u{FFFD}")))
  }

  @Test("stays small for a model of 100,000 tensors, and for endless names")
  func bounded() throws {
    let experts = (0..<250).flatMap { layer in
      (0..<400).map { Self.delta("model.layers.\(layer).mlp.experts.\($0).m\($0 % 100).weight", change: 0.001) }
    }
    let long = String(repeating: "x", count: 100_000)
    let problems = (0..<100).map { Problem(.layerStandsOut, "\($0) \(long)") }
    let work = (0..<50).map { WorkLog.Entry(worker: "\($0)\(long)", bytes: 1 << 26, milliseconds: 100, finishedAt: $0 * 100) }
    let html = report(experts + (0..<50).map { Self.delta("\($0)\(long)", change: 0.01) }, problems: problems, work: work).html
    #expect(html.utf8.count < 1_000_000)
    let cells = try Page(html).elements.filter { $0.attributes["title"]?.contains(", mlp.experts.m") == true }
    #expect(cells.count == 125 * 32)
  }

  @Test("has a place for numbers that are none", arguments: [Double.infinity, .nan, 0, .leastNonzeroMagnitude, 1e300])
  func extremes(change: Double) throws {
    let tensors = Self.layers(3) + [Self.delta("model.layers.3.mlp.up_proj.weight", change: change, hasShape: true), Self.delta("w", change: change)]
    #expect(try Page(report(tensors, alphas: [1e300, -.greatestFiniteMagnitude]).html).count("h1") == 1)
  }

  // MARK: the work

  @Test("a shard's bytes are spread over the time that it took")
  func throughput() throws {
    let log = try #require(WorkLog([
      .init(worker: "a", bytes: 600, milliseconds: 60_000, finishedAt: 1_060_000), .init(worker: "b", bytes: 300, milliseconds: 30_000, finishedAt: 1_060_000),
      .init(worker: "a", bytes: 100, milliseconds: 1000, finishedAt: 1_061_000),
    ]))
    #expect(log.begin == 1_000_000 && log.milliseconds == 61_000)
    #expect(log.bytes.count == 60)
    #expect(abs(log.bytes.reduce(0, +) - 1000) < 1e-6)
    #expect(abs(log.bytes[0] - 600 / 60 * 61.0 / 60) < 1e-6)
    #expect(abs(log.bytes[40] - 20 * 61.0 / 60) < 1e-6)
    #expect(log.workers.map(\.worker) == ["a", "b"] && log.workers.map(\.bytes) == [700, 300] && log.workers.map(\.shards) == [2, 1])
    #expect(WorkLog([]) == nil)
  }

  @Test("clocks that somebody has set do no harm")
  func clocks() throws {
    let log = try #require(WorkLog([
      .init(worker: "a", bytes: 5, milliseconds: .max, finishedAt: .max), .init(worker: "a", bytes: 5, milliseconds: 0, finishedAt: .min),
      .init(worker: "a", bytes: 5, milliseconds: .max, finishedAt: 0),
    ]))
    #expect(log.workers.map(\.bytes) == [15])
    #expect(try Page(report([Self.delta("w", change: 0.1)], work: [.init(worker: "a", bytes: 5, milliseconds: .max, finishedAt: .max), .init(worker: "a", bytes: 5, milliseconds: 0, finishedAt: .min)]).html).count("h1") == 1)
  }
}
