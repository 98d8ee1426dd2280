/// A tensor in a file of weights of whichever format.
package struct StoredTensor: Sendable, Equatable {
  package let name: String
  package let dtype: DType
  package let shape: [Int]
  /// Bytes of the file.
  package let range: Range<Int>
  /// nil where the bytes are the elements in the order of the shape.
  package let layout: StridedLayout?

  package init(name: String, dtype: DType, shape: [Int], range: Range<Int>, layout: StridedLayout? = nil) {
    self.name = name
    self.dtype = dtype
    self.shape = shape
    self.range = range
    self.layout = layout
  }

  package var elementCount: Int { shape.reduce(1, *) }
}
