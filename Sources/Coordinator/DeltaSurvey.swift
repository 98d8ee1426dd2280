import Checkpoint
public import Deltas
public import Diagnostics
import Digests
public import FileIO
import Kernels
public import Planning

/// A look at a share of every tensor, or at all of it: what `diagnose` judges by. The same plan and share give the same
/// numbers, whatever the threads.
public struct DeltaSurvey: Sendable {
  public let summary: DeltaSummary
  public let tails: [TailRows]
  /// Elements that were looked at, and that are extrapolated.
  public let seen: Int
  public let elements: Int

  public var isSample: Bool { seen < elements }

  /// Rows at the end of an embedding or head that are looked at one by one.
  static let tailRows = 512
  /// Blocks of one piece of work.
  private static let pieceBlocks = 64

  private struct Piece {
    /// Index into the plan's pairs.
    let pair: Int
    let blocks: ArraySlice<Range<Int>>
  }

  /// Blocks.
  ///
  /// - Parameter share: of each tensor's elements; 1 for all.
  public init(_ plan: Plan, share: Double, _ context: RunContext, calls: SystemCalls = .live) throws(Failure) {
    let inputs = try BlockMeter.Inputs(plan, calls: calls)
    let least = SurveyBlocks.least(tensors: plan.pairs.count)
    var pieces: [Piece] = []
    for (index, pair) in plan.pairs.enumerated() {
      let blocks = SurveyBlocks.places(
        elements: pair.extrapolatedElements, elementSize: pair.largestElementSize, share: share, least: least,
        seed: plan.fingerprint.high &+ UInt64(index))
      for start in stride(from: 0, to: blocks.count, by: Self.pieceBlocks) {
        pieces.append(Piece(pair: index, blocks: blocks[start..<min(start + Self.pieceBlocks, blocks.count)]))
      }
    }
    let work = pieces
    let found = ResultSlots<DeltaMeasure>(count: work.count)
    context.progress.begin(
      .diagnosing, total: work.reduce(0) { sum, piece in sum + Self.bytes(piece, plan) })
    try context.run(work.count) { (queue) throws(Failure) in
      var meter = BlockMeter(inputs, limit: SurveyBlocks.size)
      while let index = queue.take() {
        let piece = work[index]
        var blocks: [DeltaMeasure] = []
        for block in piece.blocks { blocks.append(try meter.measure(plan.pairs[piece.pair], block, hasShape: true)) }
        if let measure = DeltaMeasure(blocks) { found.set(measure, at: index) }
        context.progress.add(Self.bytes(piece, plan))
      }
    }
    summary = DeltaSummary(Self.tensors(work.map(\.pair), found.values, plan))
    tails = try Self.tails(plan, inputs, context)
    seen = summary.tensors.reduce(0) { $0 + $1.seen }
    elements = plan.pairs.reduce(0) { $0 + $1.extrapolatedElements }
  }

  private static func bytes(_ piece: Piece, _ plan: Plan) -> Int {
    let pair = plan.pairs[piece.pair]
    return piece.blocks.reduce(0) { $0 + $1.count } * (pair.aligned.dtype.bits + pair.sft.dtype.bits) / 8
  }

  /// Measures by tensor, of its pieces in their order.
  private static func tensors(_ pairs: [Int], _ measures: [DeltaMeasure?], _ plan: Plan) -> [TensorDelta] {
    var tensors: [TensorDelta] = []
    var start = 0
    while start < pairs.count {
      let end = pairs[start...].firstIndex { $0 != pairs[start] } ?? pairs.count
      if let measure = DeltaMeasure(measures[start..<end].compactMap { $0 }) {
        let pair = plan.pairs[pairs[start]]
        tensors.append(TensorDelta(pair.name, measure, elements: pair.extrapolatedElements))
      }
      start = end
    }
    return tensors
  }

  private static func tails(_ plan: Plan, _ inputs: BlockMeter.Inputs, _ context: RunContext) throws(Failure) -> [TailRows] {
    let pairs = plan.pairs.filter { pair in
      let kind = TensorRole(of: pair.name).kind
      return (kind == .embedding || kind == .head) && pair.shape.count == 2 && pair.shape[1] <= SurveyBlocks.size
        && pair.extrapolatedElements > 0
    }
    let found = ResultSlots<TailRows>(count: pairs.count)
    try context.run(pairs.count) { (queue) throws(Failure) in
      while let index = queue.take() {
        let pair = pairs[index]
        let width = pair.shape[1]
        let rows = pair.extrapolatedElements / width
        var meter = BlockMeter(inputs, limit: width)
        var sums: [DeltaSums] = []
        for row in max(0, rows - tailRows)..<rows {
          sums.append(try meter.measure(pair, row * width..<(row + 1) * width, hasShape: false).sums)
        }
        found.set(TailRows(tensor: pair.name, first: max(0, rows - tailRows), rows: sums), at: index)
      }
    }
    return found.values.compactMap { $0 }
  }
}
