import Checkpoint
import Diagnostics
import Kernels
@testable import Planning
import Synchronization
import Testing
import Threads
import Wire
import ZeroMQ

@testable import Worker

@Suite struct StreamedInputsTests {
  /// One segment behind another, from these slices.
  func segments(_ slices: [(aligned: Range<Int>, sft: Range<Int>?, file: Int)], from start: Int = 0) -> [Segment] {
    var end = start
    return slices.map { slice in
      defer { end += slice.aligned.count }
      return Segment(
        pair: 0, action: .copy, output: end..<end + slice.aligned.count,
        aligned: .init(file: slice.file, range: slice.aligned), sft: slice.sft.map { .init(file: slice.file, range: $0) })
    }
  }

  func byte(_ place: Int) -> UInt8 { UInt8(truncatingIfNeeded: place &* 2_654_435_761 >> 7) }

  func frame(_ inputs: StreamedInputs, _ number: Int) -> Frame { Frame(inputs.chunks[number].range.map(byte)) }

  @Test("ranges that touch or almost touch are fetched as one; files that are direct are left out")
  func pieces() throws {
    let segments = segments([
      (100..<200, 1_000_000..<1_000_100, 0), (200..<300, 50..<150, 0), (1000..<1100, nil, 0),
      (500_000..<500_001, nil, 0), (0..<10, nil, 1),
    ])
    let inputs = try #require(StreamedInputs(of: segments) { _, file in file == 0 })
    #expect(
      inputs.pieces == [
        .init(side: .aligned, file: 0, range: 100..<1100), .init(side: .aligned, file: 0, range: 500_000..<500_001),
        .init(side: .sft, file: 0, range: 50..<150), .init(side: .sft, file: 0, range: 1_000_000..<1_000_100),
      ])
    #expect(StreamedInputs(of: segments) { _, _ in false } == nil)
  }

  @Test("chunks come in the order in which they are used, both sides in turn")
  func order() throws {
    let chunk = StreamedInputs.chunkSize
    // The sft file has the two tensors the other way round.
    let inputs = try #require(
      StreamedInputs(
        of: segments([(0..<2 * chunk, 2 * chunk..<4 * chunk, 0), (2 * chunk..<3 * chunk, chunk..<2 * chunk, 0)], from: 640)
      ) { _, _ in true })
    #expect(inputs.chunks.map(\.use.lowerBound) == inputs.chunks.map(\.use.lowerBound).sorted())
    let order = inputs.chunks.map { (inputs.pieces[$0.piece].side, $0.range.lowerBound / chunk) }
    #expect(order.map(\.0) == [.aligned, .sft, .aligned, .sft, .aligned, .sft])
    #expect(order.filter { $0.0 == .sft }.map(\.1) == [2, 3, 1])
    #expect(inputs.chunks.map(\.use) == [0, 0, 1, 1, 2, 2].map { 640 + $0 * chunk..<640 + ($0 + 1) * chunk })
  }

  @Test("scales are fetched with what they scale, and kept until the last of their rows")
  func scales() throws {
    // One scale for each element, so that scales have chunks of their own; blocks of two rows.
    let (rows, columns) = (4096, 1024)
    let tensors = [
      Checkpoint.Tensor(name: "w", dtype: .f8E4M3, shape: [rows, columns], file: 0, range: 64..<64 + rows * columns),
      .init(name: "w_scale_inv", dtype: .f32, shape: [rows / 2, columns], file: 1, range: 64..<64 + rows * columns * 2),
    ]
    let checkpoint = Checkpoint(
      folder: "/", files: (0..<2).map { .init(name: "\($0)", size: 64 + rows * columns * ($0 + 1), dataStart: 64) }, tensors: tensors,
      config: try ModelConfig(
        json: Array(#"{"quantization_config":{"quant_method":"fp8","weight_block_size":[2,1]}}"#.utf8), file: "c"))
    let plan = try Plan(aligned: checkpoint, sft: checkpoint, recipe: Recipe(alpha: 0.3))
    let segments = plan.segments(of: plan.shard(0))
    let inputs = try #require(StreamedInputs(of: segments) { side, _ in side == .sft })
    #expect(inputs.pieces.map(\.file) == [0, 1])
    let start = segments[0].output.lowerBound
    for chunk in inputs.chunks {
      let part = chunk.range.lowerBound - 64..<chunk.range.upperBound - 64
      // Two bytes of output for one of the weights, or for two of the scales, whose row serves two.
      let use = chunk.piece == 0 ? part.lowerBound * 2..<part.upperBound * 2 : part.lowerBound..<part.upperBound
      #expect(chunk.use == start + use.lowerBound..<start + use.upperBound)
    }
    #expect(inputs.chunks.map(\.use.lowerBound) == inputs.chunks.map(\.use.lowerBound).sorted())
  }

  @Test("slices are found in their chunk, and put together where they cross two")
  func slices() throws {
    let chunk = StreamedInputs.chunkSize
    let range = 1000..<1000 + 2 * chunk + 77
    let inputs = try #require(
      StreamedInputs(of: segments([(0..<range.count, range, 3)])) { side, _ in side == .sft })
    for number in inputs.chunks.indices { inputs.put(frame(inputs, number), number: number) }
    let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: chunk, alignment: 64)
    defer { scratch.deallocate() }
    let middle = range.lowerBound + chunk
    for slice in [
      range.lowerBound..<range.lowerBound + 10, middle - 5..<middle + 5, middle..<middle + 100,
      range.upperBound - 80..<range.upperBound, middle - 1..<middle, middle + chunk - 3..<range.upperBound,
    ] {
      let bytes = try inputs.bytes(.sft, .init(file: 3, range: slice), scratch: scratch)
      #expect(bytes?.elementsEqual(slice.map(byte)) == true, "\(slice)")
    }
    for wrong in [999..<1010, range.upperBound - 1..<range.upperBound + 1] {
      #expect(try inputs.bytes(.sft, .init(file: 3, range: wrong), scratch: scratch) == nil)
    }
    #expect(try inputs.bytes(.aligned, .init(file: 3, range: 1000..<1001), scratch: scratch) == nil)
    #expect(try inputs.bytes(.sft, .init(file: 2, range: 1000..<1001), scratch: scratch) == nil)
  }

  @Test("a chunk is let go after its last use, not before")
  func release() throws {
    let chunk = StreamedInputs.chunkSize
    // A second tensor needs the first chunk again.
    let inputs = try #require(
      StreamedInputs(of: segments([(0..<2 * chunk, nil, 0), (0..<100, nil, 0)])) { _, _ in true })
    let freed = Mutex([Int]())
    for number in inputs.chunks.indices {
      let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: inputs.chunks[number].range.count, alignment: 64)
      let address = UInt(bitPattern: bytes.baseAddress)
      inputs.put(
        Frame(borrowing: UnsafeRawBufferPointer(bytes)) {
          UnsafeMutableRawPointer(bitPattern: address)?.deallocate()
          freed.withLock { $0.append(number) }
        }, number: number)
    }
    inputs.release(before: chunk)
    #expect(freed.withLock { $0 } == [])
    inputs.release(before: 2 * chunk)
    #expect(freed.withLock { $0 } == [1])
    inputs.release(before: 2 * chunk + 100)
    #expect(freed.withLock { $0 } == [1, 0])
  }

  @Test("a slot waits for its chunk, says how far it has come, and is set free")
  func waiting() throws {
    let chunk = StreamedInputs.chunkSize
    let asked = Monitor(0)
    let inputs = try #require(
      StreamedInputs(of: segments([(0..<3 * chunk, nil, 0)]), didWant: { asked.update { $0 += 1 } }) { _, _ in true })
    #expect(inputs.wantedCount == 0)
    let outcome = Monitor([String]())
    let team = ThreadTeam(count: 1) { _ in
      let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 16, alignment: 64)
      defer { scratch.deallocate() }
      for place in [chunk, 2 * chunk] {
        do throws(Failure) {
          let bytes = try inputs.bytes(.aligned, .init(file: 0, range: place..<place + 1), scratch: scratch)
          outcome.update { $0.append("\(bytes?.first == byte(place))") }
        } catch {
          outcome.update { $0.append("\(error.problems[0].code)") }
        }
      }
    }
    asked.wait { $0 == 1 ? () : nil }
    #expect(inputs.wantedCount == 2)
    inputs.put(frame(inputs, 1), number: 1)
    asked.wait { $0 == 2 ? () : nil }
    #expect(inputs.wantedCount == 3)
    inputs.cancel()
    team.wait()
    #expect(outcome.update { $0 } == ["true", "cancelled"])
  }
}

@Suite struct StreamedOutputTests {
  @Test("blocks become chunks; a slot waits while many are on their way")
  func chunks() throws {
    let pool = SliceMemoryPool(limit: 1)
    let output = StreamedOutput(variants: 1)
    let chunk = StreamSink.chunkSize
    let (shard, block) = (640..<640 + 4 * chunk + 100, 1 << 20)
    let sent = Monitor([StreamedOutput.Chunk]())
    let team = ThreadTeam(count: 1) { _ in
      let sink = StreamSink(output, shard: shard, variants: 1, blockSize: block, pool: pool) { chunk in
        sent.update { $0.append(chunk) }
      }
      do throws(Failure) {
        for start in stride(from: shard.lowerBound, to: shard.upperBound, by: block) {
          let range = start..<min(start + block, shard.upperBound)
          guard let memory = try sink.memory(for: range, variant: 0) else { return }
          memory.initializeMemory(as: UInt8.self, repeating: UInt8(truncatingIfNeeded: (start - 640) / block))
          try sink.write(UnsafeRawBufferPointer(memory), at: start, variant: 0)
        }
      } catch {
        Issue.record(error)
      }
    }
    // Without an answer, three.
    sent.wait { $0.count == 3 ? () : nil }
    for stored in 1...2 {
      output.didStore()
      sent.wait { $0.count == 3 + stored ? () : nil }
    }
    team.wait()
    let chunks = sent.update { $0 }
    #expect(chunks.map(\.range) == (0..<4).map { $0 * chunk..<($0 + 1) * chunk } + [4 * chunk..<4 * chunk + 100])
    #expect(chunks.flatMap { [$0.bytes[0], $0.bytes[$0.bytes.count - 1]] } == [0, 3, 4, 7, 8, 11, 12, 15, 16, 16])
  }

  @Test("blocks of several variants become chunks of one stream, in its order")
  func variants() throws {
    let output = StreamedOutput(variants: 3)
    let chunk = StreamSink.chunkSize
    let (shard, block) = (640..<640 + chunk + 100, 1 << 20)
    let stream = ShardStream(shardBytes: shard.count, variants: 3)
    var sent: [StreamedOutput.Chunk] = []
    let sink = StreamSink(output, shard: shard, variants: 3, blockSize: block, pool: SliceMemoryPool(limit: 1)) { chunk in
      sent.append(chunk)
      output.didStore()
    }
    for start in stride(from: shard.lowerBound, to: shard.upperBound, by: block) {
      let range = start..<min(start + block, shard.upperBound)
      let memories = try (0..<3).map { try #require(try sink.memory(for: range, variant: $0)) }
      for (variant, memory) in memories.enumerated() {
        memory.initializeMemory(as: UInt8.self, repeating: UInt8(variant * 16 + (start - 640) / block))
        try sink.write(UnsafeRawBufferPointer(memory), at: start, variant: variant)
      }
    }
    #expect(sent.map(\.range.count) == [chunk, chunk, chunk, 100, 100, 100])
    var position = 0
    for chunk in sent {
      #expect(chunk.range.lowerBound == position, "without a gap")
      let (variant, range) = stream.place(of: position)
      #expect(chunk.bytes.first == UInt8(variant * 16 + range.lowerBound / block))
      #expect(chunk.bytes.last == UInt8(variant * 16 + (range.upperBound - 1) / block))
      position = chunk.range.upperBound
    }
    #expect(position == stream.count)
  }

  @Test("cancelling ends the waiting")
  func cancelling() {
    let output = StreamedOutput(variants: 1)
    let ended = Monitor(0)
    let team = ThreadTeam(count: 1) { _ in
      do throws(Failure) {
        while true {
          try output.begin()
          ended.update { $0 += 1 }
        }
      } catch {
        ended.update { $0 = -1 }
      }
    }
    ended.wait { $0 == 3 ? () : nil }
    output.cancel()
    team.wait()
    #expect(ended.update { $0 } == -1)
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
