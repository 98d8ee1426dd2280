import Kernels
@testable import Planning
import Testing
import Wire
import ZeroMQ

@testable import Worker

@Suite struct StagedShardTests {
  func segment(_ aligned: Range<Int>, _ sft: Range<Int>?, file: Int = 0) -> Segment {
    Segment(
      pair: 0, action: .copy, output: 0..<aligned.count, aligned: .init(file: file, range: aligned),
      sft: sft.map { .init(file: file, range: $0) })
  }

  @Test("ranges that touch or almost touch are fetched as one; files that are direct are left out")
  func pieces() {
    let segments = [
      segment(100..<200, 1_000_000..<1_000_100), segment(200..<300, 50..<150), segment(1000..<1100, nil),
      segment(500_000..<500_001, nil), segment(0..<10, nil, file: 1),
    ]
    let pieces = StagedShard.pieces(of: segments) { side, file in file == 0 }
    #expect(
      pieces == [
        .init(side: .aligned, file: 0, range: 100..<1100), .init(side: .aligned, file: 0, range: 500_000..<500_001),
        .init(side: .sft, file: 0, range: 50..<150), .init(side: .sft, file: 0, range: 1_000_000..<1_000_100),
      ])
    #expect(StagedShard.pieces(of: segments) { _, _ in false }.isEmpty)
  }

  @Test("slices are found in their chunk, and put together where they cross two")
  func slices() {
    let chunk = StagedShard.chunkSize
    let range = 1000..<1000 + 2 * chunk + 77
    let staged = StagedShard(pieces: [.init(side: .sft, file: 3, range: range)])
    func byte(_ place: Int) -> UInt8 { UInt8(truncatingIfNeeded: place &* 2_654_435_761 >> 7) }
    for (index, start) in stride(from: range.lowerBound, to: range.upperBound, by: chunk).enumerated() {
      staged.set(Frame((start..<min(start + chunk, range.upperBound)).map(byte)), piece: 0, index: index)
    }
    let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: chunk, alignment: 64)
    defer { scratch.deallocate() }
    let middle = range.lowerBound + chunk
    for slice in [
      range.lowerBound..<range.lowerBound + 10, middle - 5..<middle + 5, middle..<middle + 100,
      range.upperBound - 80..<range.upperBound, middle - 1..<middle, middle + chunk - 3..<range.upperBound,
    ] {
      let bytes = staged.bytes(.sft, .init(file: 3, range: slice), scratch: scratch)
      #expect(bytes?.elementsEqual(slice.map(byte)) == true, "\(slice)")
    }
    for wrong in [999..<1010, range.upperBound - 1..<range.upperBound + 1] {
      #expect(staged.bytes(.sft, .init(file: 3, range: wrong), scratch: scratch) == nil)
    }
    #expect(staged.bytes(.aligned, .init(file: 3, range: 1000..<1001), scratch: scratch) == nil)
    #expect(staged.bytes(.sft, .init(file: 2, range: 1000..<1001), scratch: scratch) == nil)
  }

  @Test("memory is used again")
  func pool() {
    let pool = SliceMemoryPool(limit: 1)
    let first = pool.take(3 << 20).map { UnsafeRawPointer($0.bytes.baseAddress) }
    let second = pool.take(3 << 20)
    #expect(first != nil && UnsafeRawPointer(second?.bytes.baseAddress) == first)
    #expect((second?.bytes.count ?? 0) >= 3 << 20)
  }
}
