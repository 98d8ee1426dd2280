public import Checkpoint
import Glibc

/// An alpha of its own for some tensors. All conditions that a rule has must hold; of several rules the first that does is the
/// tensor's.
public struct AlphaRule: Sendable, Hashable, Codable {
  /// A whole name, with `*` for any characters, `?` for one and `[...]` for one of several, as in a shell.
  public var glob: String?
  /// Found anywhere in a name, unless it says `^` or `$`.
  public var regex: String?
  public var part: TensorRole.Kind?
  /// The first and last layer.
  public var layers: ClosedRange<Int>?
  /// One for all, or several that are interpolated linearly over the depth, the first for the first layer. 0 copies aligned.
  public var alphas: [Double]

  public init(
    glob: String? = nil, regex: String? = nil, part: TensorRole.Kind? = nil, layers: ClosedRange<Int>? = nil, alphas: [Double]
  ) {
    self.glob = glob
    self.regex = regex
    self.part = part
    self.layers = layers
    self.alphas = alphas
  }

  /// As one line: `mlp, layers 0 to 15`.
  public var conditions: String {
    let layers = layers.map { $0.count == 1 ? "layer \($0.lowerBound)" : "layers \($0.lowerBound) to \($0.upperBound)" }
    let all = [glob, regex.map { "/\($0)/" }, part?.rawValue, layers].compactMap { $0 }
    return all.isEmpty ? "all" : all.joined(separator: ", ")
  }

  public var value: String {
    alphas.count == 1 ? "\(alphas[0])" : "\(alphas.map { "\($0)" }.joined(separator: ", ")) over the depth"
  }
}

/// A rule whose patterns were read.
struct CompiledRule {
  let rule: AlphaRule
  private let expression: Regex<AnyRegexOutput>?

  /// - Throws: what is wrong with a pattern, in words.
  init(_ rule: AlphaRule) throws(InvalidPattern) {
    self.rule = rule
    do {
      expression = try rule.regex.map { try Regex($0) }
    } catch {
      throw InvalidPattern(reason: "\(error)")
    }
  }

  struct InvalidPattern: Error {
    let reason: String
  }

  func matches(_ name: String, _ role: TensorRole) -> Bool {
    if let part = rule.part, part != role.kind { return false }
    if let layers = rule.layers, !(role.layer.map(layers.contains) ?? false) { return false }
    if let glob = rule.glob, fnmatch(glob, name, 0) != 0 { return false }
    if let expression, (try? expression.firstMatch(in: name)) == nil { return false }
    return true
  }

  /// - Parameter lastLayer: of the tensor's stack.
  func alpha(_ role: TensorRole, lastLayer: Int) -> Double {
    let alphas = rule.alphas
    guard alphas.count > 1 else { return alphas[0] }
    let layers = rule.layers.map { $0.clamped(to: 0...lastLayer) } ?? 0...lastLayer
    guard let layer = role.layer else { return role.kind == .embedding ? alphas[0] : alphas[alphas.count - 1] }
    guard layers.count > 1 else { return alphas[0] }
    let depth = Double(layer - layers.lowerBound) / Double(layers.count - 1) * Double(alphas.count - 1)
    let index = min(Int(depth), alphas.count - 2)
    let fraction = depth - Double(index)
    return (1 - fraction) * alphas[index] + fraction * alphas[index + 1]
  }
}
