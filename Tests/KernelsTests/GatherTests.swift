import Kernels
import Testing

@Suite("Gathering strided elements")
struct GatherTests {
  /// Places of all elements, by counting through all indices.
  private func places(_ shape: [Int], _ strides: [Int]) -> [Int] {
    zip(shape, strides).reduce([0]) { places, dimension in
      places.flatMap { place in (0..<dimension.0).map { place + $0 * dimension.1 } }
    }
  }

  @Test(
    "takes each from its place, wherever the elements are cut", arguments: [1, 2, 4, 8],
    [
      ([], []), ([7], [3]), ([5, 6], [1, 5]), ([5, 6], [9, 1]), ([5, 6], [0, 1]), ([5, 6], [1, 0]), ([3, 4, 5], [1, 15, 3]),
      ([2, 3, 2, 5], [3, 1, 30, 6]), ([4, 4], [1, 1]), ([1, 1], [5, 5]), ([2, 1, 3], [3, 777, 1]),
    ])
  func places(size: Int, layout: (shape: [Int], strides: [Int])) throws {
    let places = places(layout.shape, layout.strides)
    // Odd addresses.
    let storage = (0..<(places.max()! + 1) * size + 1).map { UInt8(truncatingIfNeeded: $0 &* 131 >> 2) }
    for start in 0..<places.count {
      for end in start + 1...places.count {
        let skipped = places[start..<end].min()!
        var output = [UInt8](repeating: 0xAA, count: (end - start) * size + 1)
        try storage.withUnsafeBytes { storage in
          try output.withUnsafeMutableBytes { output in
            try gather(
              start..<end, shape: layout.shape, strides: layout.strides, size: size,
              from: .init(rebasing: storage[(1 + skipped * size)...]), skipped: skipped, to: .init(rebasing: output[1...]))
          }
        }
        let expected = places[start..<end].flatMap { storage[(1 + $0 * size)..<(1 + ($0 + 1) * size)] }
        #expect(output == [0xAA] + expected, "\(start)..<\(end)")
      }
    }
  }
}
