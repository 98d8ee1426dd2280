import Planning

/// Which elements of a tensor a survey looks at.
package enum SurveyBlocks {
  /// Bytes of a block, of the wider side.
  static let size = 64 << 10

  /// Blocks of each tensor at least, where there are as many tensors: a megabyte, and less where thousands of experts
  /// would make that most of the model.
  package static func least(tensors: Int) -> Int { max(2, min(16, (1 << 15) / max(1, tensors))) }

  /// Blocks in order: the tensor is cut into as many equal parts, and each has one block, at a place picked by the seed.
  ///
  /// - Parameters:
  ///   - share: of the elements, more than 0; from 1 on, all.
  ///   - least: blocks at least. A tensor that has no more is looked at whole.
  package static func places(elements: Int, elementSize: Int, share: Double, least: Int, seed: UInt64) -> [Range<Int>] {
    guard elements > 0 else { return [] }
    let block = size / elementSize
    let wanted = max(Double(least), (share * Double(elements) / Double(block)).rounded(.up))
    guard wanted * Double(block) < Double(elements) else {
      return stride(from: 0, to: elements, by: block).map { $0..<min($0 + block, elements) }
    }
    let count = Int(wanted)
    var random = SplitMix64(seed: seed)
    return (0..<count).map { part in
      let start = part * (elements / count)
      let end = part == count - 1 ? elements : start + elements / count
      let place = start + Int(random.next() % UInt64(end - start - block + 1))
      return place..<place + block
    }
  }
}
