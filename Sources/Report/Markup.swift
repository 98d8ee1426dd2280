import Diagnostics

/// HTML that is also XML: texts are escaped and elements closed, whatever is put into it.
struct Markup {
  private(set) var html: String

  /// Names come from files: longer ones are cut, so that a page stays a page.
  private static let longestText = 400

  static func text(_ text: String) -> Markup {
    let shown = text.prefix(longestText)
    var escaped = ""
    for scalar in printable(shown.endIndex == text.endIndex ? text : shown + "…").unicodeScalars {
      switch scalar {
      case "&": escaped += "&amp;"
      case "<": escaped += "&lt;"
      case ">": escaped += "&gt;"
      case "\"": escaped += "&quot;"
      case "'": escaped += "&#39;"
      // Noncharacters, which XML does not allow.
      case "\u{FFFE}", "\u{FFFF}": escaped += "\u{FFFD}"
      default: escaped.unicodeScalars.append(scalar)
      }
    }
    return Markup(html: escaped)
  }

  static func element(
    _ name: StaticString, _ attributes: KeyValuePairs<StaticString, String> = [:], _ children: [Markup] = []
  ) -> Markup {
    var html = "<\(name)"
    for (key, value) in attributes { html += " \(key)=\"\(Markup.text(value).html)\"" }
    html += ">"
    for child in children { html += child.html }
    return Markup(html: html + "</\(name)>")
  }

  static func element(
    _ name: StaticString, _ attributes: KeyValuePairs<StaticString, String> = [:], _ text: String
  ) -> Markup {
    element(name, attributes, [.text(text)])
  }

  /// A whole page that needs nothing else.
  ///
  /// - Parameter style: CSS without `<` and `&`.
  static func page(title: String, style: StaticString, _ body: [Markup]) -> String {
    let meta = Markup(
      html: #"<meta charset="utf-8"/><meta name="viewport" content="width=device-width, initial-scale=1"/>"#
        + #"<meta name="color-scheme" content="light dark"/>"#)
    let head = Markup.element(
      "head", [:], [meta, .element("title", [:], title), Markup(html: "<style>\(style)</style>")])
    let page = Markup.element("html", ["lang": "en"], [head, .element("body", [:], [.element("main", [:], body)])])
    return "<!DOCTYPE html>\n" + page.html + "\n"
  }
}

extension Markup {
  static func section(_ title: String, _ children: [Markup]) -> Markup {
    element("section", [:], [element("h2", [:], title)] + children)
  }

  static func note(_ text: String) -> Markup { element("p", ["class": "note"], text) }

  /// A table that scrolls by itself where the page is narrow. Columns but the first are numbers.
  static func table(_ header: [String], _ rows: [[Markup]]) -> Markup {
    let head = element("tr", [:], header.map { element("th", ["scope": "col"], $0) })
    let body = rows.map { cells in
      element("tr", [:], cells.enumerated().map { $0 == 0 ? element("th", ["scope": "row"], [$1]) : element("td", [:], [$1]) })
    }
    return element(
      "div", ["class": "scroll"], [element("table", [:], [element("thead", [:], [head]), element("tbody", [:], body)])])
  }

  /// A length for a number, where 1 is the longest.
  static func bar(_ share: Double, isMarked: Bool = false) -> Markup {
    let percent = max(0, min(100, (share.isFinite ? share : 0) * 100))
    return element(
      "span", ["class": isMarked ? "bar marked" : "bar"],
      [element("span", ["style": "width:\(Int((percent * 10).rounded()) / 10).\(Int((percent * 10).rounded()) % 10)%"])])
  }
}
