public import Deltas
public import Diagnostics

/// A merge or a diagnosis as one page of HTML for people: it needs no network, no script and no other file.
public struct Report: Sendable {
  /// A name and a text.
  public struct Row: Sendable, Equatable {
    public let name: String
    public let text: String

    public init(_ name: String, _ text: String) {
      self.name = name
      self.text = text
    }
  }

  public var title: String
  /// What was done, and with what.
  public var subtitle: String
  public var summary: DeltaSummary
  public var verdict: Verdict
  /// What stands out, and warnings.
  public var problems: [Problem]
  /// Beside those that follow from the summary.
  public var figures: [Row]
  public var recipe: [Row]
  /// Of the recipe; none in a diagnosis.
  public var alphas: [Double]
  /// nil where nothing was merged.
  public var work: WorkLog?
  /// Whether only a part of each tensor was looked at.
  public var isSample: Bool
  /// Who made the page, and when.
  public var footer: String

  public init(
    title: String, subtitle: String, summary: DeltaSummary, verdict: Verdict, problems: [Problem], figures: [Row] = [],
    recipe: [Row] = [], alphas: [Double] = [], work: WorkLog? = nil, isSample: Bool = false, footer: String
  ) {
    self.title = title
    self.subtitle = subtitle
    self.summary = summary
    self.verdict = verdict
    self.problems = problems
    self.figures = figures
    self.recipe = recipe
    self.alphas = alphas
    self.work = work
    self.isSample = isSample
    self.footer = footer
  }

  public static let fileName = "report.html"
}
