import Checkpoint
public import Diagnostics
import FileIO
import Planning
import Synchronization
public import SystemPackage
import Threads

extension Problem.Code {
  public static let sampleExists = Self("sample-exists")
}

/// Writes a pair of checkpoints, `sft/` and `aligned/`, to try things out on.
public struct SamplePair: Sendable {
  /// The dtypes that a sample can have.
  public enum Element: String, Sendable, CaseIterable {
    case bf16, f16, f32

    var dtype: DType {
      switch self {
      case .bf16: .bf16
      case .f16: .f16
      case .f32: .f32
      }
    }

    var format: SampleWeights.Format {
      switch self {
      case .bf16: .bf16
      case .f16: .f16
      case .f32: .f32
      }
    }

    var torchName: String {
      switch self {
      case .bf16: "bfloat16"
      case .f16: "float16"
      case .f32: "float32"
      }
    }
  }

  public var shape: ModelShape
  public var element: Element
  public var seed: UInt64
  /// Files of holes: all weights are zero, and no disk space is used.
  public var isSparse: Bool

  public init(shape: ModelShape, element: Element = .bf16, seed: UInt64 = 0, isSparse: Bool = false) {
    self.shape = shape
    self.element = element
    self.seed = seed
    self.isSparse = isSparse
  }

  /// Bytes of the weights of one side.
  public var bytesPerSide: Int {
    shape.tensors.reduce(0) { $0 + $1.shape.reduce(1, *) } * element.dtype.bits / 8
  }

  /// Makes the folder, which gets its name when it is complete.
  ///
  /// - Parameters:
  ///   - didWrite: told the bytes of each block written; called by many threads.
  public func write(
    to folder: FilePath, threads: Int, didWrite: @escaping @Sendable (Int) -> Void = { _ in }
  ) throws(Failure) {
    guard !folder.isEmpty else {
      throw Failure(.cannotCreate, Problem(.sampleExists, "the output's path is empty", remedy: "name a folder"))
    }
    let partial = FilePath(folder.lexicallyNormalized().string + ".partial")
    for path in [folder, partial] {
      if try Directories.live.kind(of: path) != nil, try !Directories.live.isEmptyFolder(path) {
        throw Failure(
          .cannotCreate,
          Problem(.sampleExists, "the folder exists already", file: path.string, remedy: "choose another, or remove it"))
      }
    }
    let items = shape.tensors.map { Layout.Item(name: $0.name, dtype: element.dtype, shape: $0.shape) }
    let layout = Layout(items, maxFileSize: 5_000_000_000)
    for side in SampleWeights.Side.allCases {
      let target = partial.appending(side.rawValue)
      try Directories.live.makeDirectory(target)
      for companion in CompanionFiles(shape: shape, dtype: element.torchName).all {
        try File.create(target.appending(companion.name)).write(Array(companion.contents.utf8), at: 0)
      }
      if layout.files.count > 1 {
        var map: [String: String] = [:]
        for file in layout.files {
          for item in file.items { map[items[item].name] = file.name }
        }
        let index = CheckpointIndex(weightMap: map).encoded(
          totalSize: items.reduce(0) { $0 + $1.byteCount },
          totalParameters: items.reduce(0) { $0 + $1.shape.reduce(1, *) })
        try File.create(target.appending("model.safetensors.index.json")).write(index, at: 0)
      }
      for file in layout.files {
        try write(file, items, side, to: target.appending(file.name), threads: threads, didWrite)
      }
    }
    try Directories.live.rename(partial, to: folder)
  }

  private func write(
    _ planned: Layout.File, _ items: [Layout.Item], _ side: SampleWeights.Side, to path: FilePath, threads: Int,
    _ didWrite: @escaping @Sendable (Int) -> Void
  ) throws(Failure) {
    let file = try File.create(path)
    if isSparse {
      try file.setSize(planned.size)
    } else {
      try file.preallocate(size: planned.size)
    }
    try file.write(planned.header, at: 0)
    guard !isSparse else { return }
    let size = element.dtype.bits / 8
    var pieces: [(tensor: Int, offset: Int, first: Int, count: Int)] = []
    let pieceLength = SampleWeights.chunk * 16
    for (item, range) in zip(planned.items, planned.ranges) {
      for first in stride(from: 0, to: range.count / size, by: pieceLength) {
        pieces.append(
          (item, range.lowerBound + first * size, first, min(pieceLength, range.count / size - first)))
      }
    }
    let weights = SampleWeights(seed: seed, format: element.format)
    let work = pieces
    let next = Atomic(0)
    let failure = Mutex<Failure?>(nil)
    ThreadTeam.run(count: max(1, min(threads, pieces.count))) { _ in
      let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: pieceLength * size, alignment: 8)
      defer { buffer.deallocate() }
      while failure.withLock({ $0 == nil }) {
        let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
        guard index < work.count else { return }
        let piece = work[index]
        let count = piece.count * size
        do throws(Failure) {
          let block = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
          weights.fill(
            block, side: side, tensor: piece.tensor, isNorm: items[piece.tensor].name.contains("norm"),
            firstElement: piece.first, count: piece.count)
          try file.write(UnsafeRawBufferPointer(block), at: piece.offset)
          didWrite(count)
        } catch {
          failure.withLock { $0 = error }
        }
      }
    }
    if let failure = failure.withLock({ $0 }) { throw failure }
  }
}
