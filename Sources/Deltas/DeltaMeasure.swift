public import Kernels

/// What was measured on elements of a pair: ratios of sums. Where only some elements were looked at, sums stand for all of
/// them.
public struct DeltaMeasure: Sendable, Equatable {
  public var sums: DeltaSums
  /// nil where it was not measured on all.
  public var shape: DeltaShape?

  public init(_ sums: DeltaSums, shape: DeltaShape? = nil) {
    self.sums = sums
    self.shape = shape
  }

  /// The measure of several parts, added in their order; nil where there are none.
  public init?(_ parts: some Sequence<DeltaMeasure>) {
    var parts = parts.makeIterator()
    guard var sum = parts.next() else { return nil }
    while let part = parts.next() {
      sum.sums += part.sums
      if let shape = part.shape, sum.shape != nil { sum.shape? += shape } else { sum.shape = nil }
    }
    self = sum
  }

  /// ‖d‖ / ‖a‖; nil where a is zero everywhere.
  public var relativeNorm: Double? { sums.relativeNorm }

  /// The cosine of a and s; nil where one of them is zero everywhere.
  public var cosine: Double? { sums.cosine }

  /// nil where there are no elements.
  public var unchangedShare: Double? {
    sums.elements > 0 ? Double(sums.unchanged) / Double(sums.elements) : nil
  }

  /// n·Σd⁴ / (Σd²)²: 3 for a normal distribution around zero, and large where few elements make the delta. nil where
  /// nothing has changed, or the fourth powers were not summed.
  public var kurtosis: Double? {
    guard let shape, sums.deltaSquared > 0 else { return nil }
    return Double(sums.elements - sums.nonFiniteInputs) * (shape.deltaFourth / sums.deltaSquared) / sums.deltaSquared
  }

  /// The alpha from which on a result would be infinite in F16; nil where there is none.
  public var f16Limit: Double? {
    guard let reach = shape?.f16Reach, reach > 0 else { return nil }
    return 1 / reach
  }

  /// Of as many elements as `count`. Extremes stay, and so do counts of what is not finite, which cannot be estimated.
  public func scaled(to count: Int) -> DeltaMeasure {
    guard sums.elements > 0, sums.elements != UInt64(count) else { return self }
    let factor = Double(count) / Double(sums.elements)
    func scaled(_ number: UInt64) -> UInt64 { UInt64((Double(number) * factor).rounded()) }
    var result = self
    result.sums.deltaSquared *= factor
    result.sums.alignedSquared *= factor
    result.sums.sftSquared *= factor
    result.sums.dot *= factor
    result.sums.elements = UInt64(count)
    result.sums.unchanged = scaled(sums.unchanged)
    result.shape?.deltaFourth *= factor
    result.shape?.magnitudes = shape?.magnitudes.map(scaled) ?? []
    return result
  }
}

/// A tensor pair, and what was measured on it.
public struct TensorDelta: Sendable, Equatable {
  public let name: String
  /// Scaled to all elements that are extrapolated.
  public let measure: DeltaMeasure
  /// Elements that were looked at.
  public let seen: Int

  /// - Parameter elements: that are extrapolated; `measure` may be of fewer.
  public init(_ name: String, _ measure: DeltaMeasure, elements: Int) {
    self.name = name
    seen = Int(clamping: measure.sums.elements)
    self.measure = measure.scaled(to: elements)
  }
}
