import Planning
import Wire

extension StreamedInputs {
  /// Bytes of an input file that a segment needs, and what for.
  struct Slice {
    let side: Side
    let file: Int
    let range: Range<Int>
    /// Bytes of the output file: the segment's, or the first of them.
    private let output: Range<Int>
    /// Of scales, what they scale.
    private let scaling: Segment.Scaling?

    static func all(of segment: Segment) -> [Slice] {
      [(Side.aligned, segment.aligned), (.sft, segment.sft)].flatMap { side, source -> [Slice] in
        guard let source else { return [] }
        // What is gathered is put together with the first of the elements, and not needed from then on.
        let first = segment.output.lowerBound..<segment.output.lowerBound + 1
        let output = source.gathering == nil ? segment.output : first
        let slice = Slice(side: side, file: source.file, range: source.range, output: output, scaling: nil)
        guard let scaling = source.scaling else { return [slice] }
        let scales = scaling.source
        return [slice, Slice(side: side, file: scales.file, range: scales.range, output: segment.output, scaling: scaling)]
      }
    }

    /// The bytes of the output file that some of its bytes are needed for.
    func use(of part: Range<Int>) -> Range<Int> {
      if let scaling {
        let all = scaling.elements
        let elements = scaling.scales.elements(using: part).clamped(to: all)
        return output(from: elements.lowerBound - all.lowerBound, to: elements.upperBound - all.lowerBound, of: all.count)
      }
      return output(from: part.lowerBound - range.lowerBound, to: part.upperBound - range.lowerBound, of: range.count)
    }

    /// Elements that two parts share are used with both.
    private func output(from start: Int, to end: Int, of count: Int) -> Range<Int> {
      output.lowerBound + start * output.count / count..<output.lowerBound + (end * output.count + count - 1) / count
    }
  }
}
