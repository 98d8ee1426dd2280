import CKernels

/// Sums over pairs of elements (a, s) and their difference d = a - s: what a merge changes, and by how much.
///
/// Elements where a, s or d is not finite are counted and left out of the sums.
public struct DeltaSums: Sendable, Equatable, Codable {
  /// Σ d², in f64.
  public var deltaSquared: Double = 0
  /// Σ a², in f64.
  public var alignedSquared: Double = 0
  /// Σ s², in f64.
  public var sftSquared: Double = 0
  /// Σ a·s, in f64.
  public var dot: Double = 0
  /// max |d|.
  public var largestDelta: Double = 0
  public var elements: UInt64 = 0
  /// Elements where a = s.
  public var unchanged: UInt64 = 0
  /// Elements where a or s is infinite or NaN.
  public var nonFiniteInputs: UInt64 = 0
  /// Elements whose output is infinite or NaN.
  public var nonFiniteOutputs: UInt64 = 0
  /// Elements with finite inputs whose result is too large for the output's dtype.
  public var overflows: UInt64 = 0

  public init() {}

  /// Adds the sums of another part. Floating-point addition is not associative: combine parts in the order of the plan.
  public static func += (sum: inout DeltaSums, part: DeltaSums) {
    sum.deltaSquared += part.deltaSquared
    sum.alignedSquared += part.alignedSquared
    sum.sftSquared += part.sftSquared
    sum.dot += part.dot
    sum.largestDelta = max(sum.largestDelta, part.largestDelta)
    sum.elements += part.elements
    sum.unchanged += part.unchanged
    sum.nonFiniteInputs += part.nonFiniteInputs
    sum.nonFiniteOutputs += part.nonFiniteOutputs
    sum.overflows += part.overflows
  }

  /// What was counted in the output.
  public var outputCounts: OutputCounts {
    get { OutputCounts(nonFinite: nonFiniteOutputs, overflows: overflows) }
    set { (nonFiniteOutputs, overflows) = (newValue.nonFinite, newValue.overflows) }
  }

  /// ‖d‖ / ‖a‖; nil where a is zero everywhere.
  public var relativeNorm: Double? {
    alignedSquared > 0 ? (deltaSquared / alignedSquared).squareRoot() : nil
  }

  /// The cosine of the angle between a and s; nil where one of them is zero everywhere.
  public var cosine: Double? {
    let norms = alignedSquared.squareRoot() * sftSquared.squareRoot()
    return norms > 0 ? dot / norms : nil
  }
}

/// What is counted in an output: of several outputs of a pair, made with different alphas, each has its own.
public struct OutputCounts: Sendable, Equatable, Codable {
  /// Elements that are infinite or NaN.
  public var nonFinite: UInt64
  /// Elements with finite inputs whose result is too large for the output's dtype.
  public var overflows: UInt64

  public init(nonFinite: UInt64 = 0, overflows: UInt64 = 0) {
    self.nonFinite = nonFinite
    self.overflows = overflows
  }
}

extension DeltaSums {
  /// Lanes are added in order.
  init(_ lanes: expo_sums) {
    func total(_ tuple: some Any) -> Double {
      withUnsafeBytes(of: tuple) { $0.bindMemory(to: Double.self).reduce(0, +) }
    }
    deltaSquared = total(lanes.delta_squared)
    alignedSquared = total(lanes.aligned_squared)
    sftSquared = total(lanes.sft_squared)
    dot = total(lanes.dot)
    largestDelta = lanes.largest_delta
    elements = lanes.elements
    unchanged = lanes.unchanged
    nonFiniteInputs = lanes.nonfinite_inputs
    nonFiniteOutputs = lanes.nonfinite_outputs
    overflows = lanes.overflows
  }
}

extension expo_sums {
  /// Adds sums whose lane 0 belongs to lane `lane`, and which hold at most one element a lane.
  mutating func add(_ part: expo_sums, fromLane lane: Int) {
    func add(_ from: some Any, _ to: inout some Any) {
      withUnsafeBytes(of: from) { from in
        withUnsafeMutableBytes(of: &to) { to in
          let (from, to) = (from.bindMemory(to: Double.self), to.bindMemory(to: Double.self))
          for index in from.indices.dropLast(lane) { to[lane + index] += from[index] }
        }
      }
    }
    add(part.delta_squared, &delta_squared)
    add(part.aligned_squared, &aligned_squared)
    add(part.sft_squared, &sft_squared)
    add(part.dot, &dot)
    largest_delta = max(largest_delta, part.largest_delta)
    elements += part.elements
    unchanged += part.unchanged
    nonfinite_inputs += part.nonfinite_inputs
    nonfinite_outputs += part.nonfinite_outputs
    overflows += part.overflows
  }
}
