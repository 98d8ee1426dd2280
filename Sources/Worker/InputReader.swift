import Checkpoint
package import Diagnostics
import FileIO
import Kernels
package import Planning
import SystemPackage
package import Wire

/// Reads slices of one checkpoint for one thread: by mapping, by reading, or from what was streamed. What is strided comes
/// in order, and what is quantised by blocks dequantised.
package struct InputReader: ~Copyable {
  private let inputs: InputFiles
  private let side: Side
  /// The slices of the current shard that do not come from files.
  var streamed: StreamedInputs? {
    didSet {
      spread = GrowingMemory()
      (spreadFile, spreadRange) = (-1, 0..<0)
    }
  }
  private let buffer: Memory
  private var window: Mapping?
  private var windowFile = -1
  private var windowRange = 0..<0
  private var scales = GrowingMemory()
  private var products = GrowingMemory()
  private var gathered = GrowingMemory()
  private var spread = GrowingMemory()
  private var spreadFile = -1
  private var spreadRange = 0..<0

  /// Bytes mapped at a time: enough to make the call cheap, and few enough to keep resident memory flat.
  private static let windowSize = 16 << 20

  /// - Parameter sliceLimit: bytes of the largest slice that will be asked for.
  package init(_ inputs: InputFiles, _ side: Side, sliceLimit: Int) {
    self.inputs = inputs
    self.side = side
    let needsBuffer = inputs.method == .pread || inputs.opened.contains { $0 == nil }
    buffer = Memory(count: needsBuffer ? sliceLimit : 1)
  }

  // MARK: elements as they are computed with

  /// The bytes of a slice, in order and dequantised; valid until the next call.
  package mutating func bytes(of source: Segment.Source) throws(Failure) -> UnsafeRawBufferPointer {
    let elements = source.gathering == nil ? try storedBytes(of: source) : try gatheredBytes(of: source)
    guard let scaling = source.scaling else { return elements }
    let scales = try scaleBytes(of: scaling.source)
    let how = Dequantisation(scaling.scales)
    let target = products.bytes(elements.count * how.output.size)
    do throws(InputVanished) {
      try how.run(elements, scales: scales, place: scaling.scales.place(of: scaling.elements.lowerBound), to: target)
    } catch {
      throw try truncation(of: source) ?? unreadable(source)
    }
    return UnsafeRawBufferPointer(target)
  }

  /// Few bytes, which are read even where others are mapped: one window is for those.
  private mutating func scaleBytes(of source: Segment.Source) throws(Failure) -> UnsafeRawBufferPointer {
    let target = scales.bytes(source.range.count)
    guard let file = inputs.opened[source.file] else { return try streamedBytes(of: source, scratch: target) }
    try file.read(into: target, at: source.range.lowerBound)
    return UnsafeRawBufferPointer(target)
  }

  private mutating func gatheredBytes(of source: Segment.Source) throws(Failure) -> UnsafeRawBufferPointer {
    guard let gathering = source.gathering else { preconditionFailure("only strided elements are gathered") }
    let storage: UnsafeRawBufferPointer
    if let file = inputs.opened[source.file] {
      // Mapped whatever the method: each part takes a little from everywhere.
      storage = try mappedBytes(of: source, file)
    } else {
      storage = try spreadBytes(of: source)
    }
    let layout = gathering.layout
    let target = gathered.bytes(gathering.elements.count * layout.elementSize)
    do throws(InputVanished) {
      try gather(
        gathering.elements, shape: layout.shape, strides: layout.strides, size: layout.elementSize, from: storage,
        skipped: (source.range.lowerBound - gathering.start) / layout.elementSize, to: target)
    } catch {
      throw try truncation(of: source) ?? unreadable(source)
    }
    return UnsafeRawBufferPointer(target)
  }

  /// What the strided elements of a segment lie among, put together once for all its parts: the chunks are let go then.
  private mutating func spreadBytes(of source: Segment.Source) throws(Failure) -> UnsafeRawBufferPointer {
    let target = spread.bytes(source.range.count)
    if spreadFile != source.file || spreadRange != source.range {
      (spreadFile, spreadRange) = (-1, 0..<0)
      let bytes = try streamedBytes(of: source, scratch: target)
      // Already there if they are of several chunks.
      if bytes.baseAddress != UnsafeRawPointer(target.baseAddress) { target.copyMemory(from: bytes) }
      (spreadFile, spreadRange) = (source.file, source.range)
    }
    return UnsafeRawBufferPointer(target)
  }

  // MARK: bytes

  private mutating func storedBytes(of source: Segment.Source) throws(Failure) -> UnsafeRawBufferPointer {
    guard let file = inputs.opened[source.file] else { return try streamedBytes(of: source, scratch: buffer.bytes) }
    switch inputs.method {
    case .pread:
      let target = UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[..<source.range.count])
      try file.read(into: target, at: source.range.lowerBound)
      return UnsafeRawBufferPointer(target)
    case .mmap:
      return try mappedBytes(of: source, file)
    }
  }

  private func streamedBytes(
    of source: Segment.Source, scratch: UnsafeMutableRawBufferPointer
  ) throws(Failure) -> UnsafeRawBufferPointer {
    guard let bytes = try streamed?.bytes(side, source, scratch: scratch) else {
      preconditionFailure("every slice of a file that is not open is streamed")
    }
    return bytes
  }

  private mutating func mappedBytes(of source: Segment.Source, _ file: File) throws(Failure) -> UnsafeRawBufferPointer {
    let start = source.range.lowerBound
    if source.file != windowFile || start < windowRange.lowerBound || source.range.upperBound > windowRange.upperBound {
      let end = min(max(start + Self.windowSize, source.range.upperBound), inputs.sizes[source.file])
      window = nil
      window = try file.map(start..<end)
      windowFile = source.file
      windowRange = start..<end
    }
    let offset = start - windowRange.lowerBound
    let bytes = window?.bytes ?? UnsafeRawBufferPointer(start: nil, count: 0)
    return UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + source.range.count])
  }

  /// The failure of a file that became shorter while it was mapped; nil if the slice is still there.
  func truncation(of source: Segment.Source) throws(Failure) -> Failure? {
    guard let file = inputs.opened[source.file] else { return nil }
    let size = try file.status().size
    return size < source.range.upperBound ? file.truncated(at: size) : nil
  }

  /// What to say when a mapped page cannot be read although the file has its length: the disk failed.
  func unreadable(_ source: Segment.Source) -> Failure {
    Failure(
      .inputOutput,
      Problem(
        .readFailed, "a page could not be read", file: inputs.opened[source.file]?.path.string,
        byte: source.range.lowerBound, remedy: "check the disk and the system's log"))
  }
}

extension Dequantisation {
  init(_ scales: BlockScales) {
    self.init(
      format: scales.format, columns: scales.columns, blockRows: scales.block.rows, blockColumns: scales.block.columns,
      output: scales.product)
  }
}
