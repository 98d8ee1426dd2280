import CKernels

/// Puts elements in the order of their shape that lie in another.
///
/// - Parameters:
///   - elements: in the order of the shape.
///   - shape: lengths of the dimensions, outermost first; none is 0.
///   - strides: elements from one to the next in each dimension; none is negative.
///   - size: bytes of an element: 1, 2, 4 or 8.
///   - storage: what the elements lie among.
///   - skipped: elements of the tensor's storage that come before `storage`.
/// - Throws: `InputVanished`, after which `output` holds rubbish.
public func gather(
  _ elements: Range<Int>, shape: [Int], strides: [Int], size: Int, from storage: UnsafeRawBufferPointer, skipped: Int,
  to output: UnsafeMutableRawBufferPointer
) throws(InputVanished) {
  guard !elements.isEmpty, let base = storage.baseAddress, let target = output.baseAddress else { return }
  precondition(output.count >= elements.count * size && [1, 2, 4, 8].contains(size) && shape.count == strides.count)
  // A scalar has no dimensions.
  let lengths = shape.isEmpty ? [1] : shape.map(UInt.init)
  let steps = shape.isEmpty ? [1] : strides.map(UInt.init)
  let status = lengths.withUnsafeBufferPointer { lengths in
    steps.withUnsafeBufferPointer { steps in
      expo_gather(
        base, skipped, size, lengths.count, lengths.baseAddress, steps.baseAddress, elements.lowerBound, elements.count, target)
    }
  }
  if status != 0 { throw InputVanished() }
}
