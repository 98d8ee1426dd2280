public import Checkpoint
public import Diagnostics
import Kernels
import SystemPackage

extension Problem.Code {
  public static let quantised = Self("quantised")
  public static let scalesMissing = Self("scales-missing")
  public static let scalesInvalid = Self("scales-invalid")
}

/// Which weights of a checkpoint are quantised, with their scales, and why others cannot be read.
public struct QuantisedWeights: Sendable {
  /// Of the weights that are.
  public private(set) var block: BlockSize?
  /// The scales of matrices, by name of the matrix.
  public private(set) var scales: [String: Checkpoint.Tensor] = [:]
  public private(set) var problems: [Problem] = []
  /// Tensors that are scales, and so no weights.
  private(set) var companions: Set<String> = []

  private let checkpoint: Checkpoint
  private let names: Set<String>

  public init(of checkpoint: Checkpoint) {
    self.checkpoint = checkpoint
    names = Set(checkpoint.tensors.map(\.name))
    if let quantisation = checkpoint.config?.quantisation {
      guard quantisation.method == Quantisation.blockMethod else {
        refuse(quantisation)
        return
      }
      guard let size = Self.blockSize(quantisation) else {
        refuseBlockSize()
        return
      }
      block = size
      findScales(size)
    }
    refuseCompanions()
  }

  /// Checks that a matrix is what its scales are for, and finds out how they are used.
  func scales(of tensor: Checkpoint.Tensor, product: FloatFormat) -> BlockScales? {
    guard let block, let scales = scales[tensor.name], let format = scales.dtype.floatFormat else { return nil }
    return BlockScales(
      file: scales.file, range: scales.range, format: format, block: block, rows: tensor.shape[0], columns: tensor.shape[1],
      product: product)
  }

  /// How a tensor's elements are kept, in words.
  public func encoding(of tensor: Checkpoint.Tensor) -> String {
    BlockSize.encoding(tensor.dtype, scales[tensor.name] == nil ? nil : block)
  }

  // MARK: block scales

  private static let ending = "_scale_inv"
  private static let usual = BlockSize(rows: 128, columns: 128)

  /// The blocks that a checkpoint's config names.
  static func block(of checkpoint: Checkpoint) -> BlockSize? {
    guard let quantisation = checkpoint.config?.quantisation, quantisation.method == Quantisation.blockMethod else { return nil }
    return blockSize(quantisation)
  }

  /// transformers takes 128x128 where a config does not say.
  private static func blockSize(_ quantisation: Quantisation) -> BlockSize? {
    guard let size = quantisation.blockSize else { return usual }
    return size.count == 2 ? BlockSize(rows: size[0], columns: size[1]) : nil
  }

  private mutating func findScales(_ block: BlockSize) {
    var byName: [String: Checkpoint.Tensor] = [:]
    for tensor in checkpoint.tensors where tensor.name.hasSuffix(Self.ending) {
      byName[tensor.name] = tensor
      companions.insert(tensor.name)
    }
    for tensor in checkpoint.tensors where !companions.contains(tensor.name) {
      guard let scales = byName.removeValue(forKey: tensor.name + Self.ending) else {
        guard tensor.dtype == .f8E4M3, tensor.shape.count == 2 else { continue }
        report(
          .scalesMissing, "the weights are F8_E4M3, but there is no \(tensor.name)\(Self.ending) with their scales", tensor,
          remedy: "download the checkpoint and its index again")
        continue
      }
      if let fault = Self.fault(of: scales, for: tensor, block) {
        report(.scalesInvalid, fault, scales, remedy: "download the checkpoint and its config.json again")
      } else {
        self.scales[tensor.name] = scales
      }
    }
    for scales in byName.values.sorted(by: { $0.name < $1.name }) {
      report(
        .scalesInvalid, "these scales are for \(scales.name.dropLast(Self.ending.utf8.count)), which is not there", scales,
        remedy: "download the checkpoint and its index again")
    }
  }

  /// What is wrong with scales, in words.
  private static func fault(of scales: Checkpoint.Tensor, for tensor: Checkpoint.Tensor, _ block: BlockSize) -> String? {
    guard tensor.dtype == .f8E4M3 else { return "these scales are for F8_E4M3, but \(tensor.name) is \(tensor.dtype.rawValue)" }
    guard tensor.shape.count == 2 else {
      return "these scales are for a matrix, but the shape of \(tensor.name) is \(tensor.shape)"
    }
    guard [.f32, .bf16, .f16].contains(scales.dtype) else {
      return "the scales are \(scales.dtype.rawValue); F32, BF16 and F16 are known"
    }
    guard scales.layout == nil else { return "the scales are strided" }
    let grid = block.grid(over: tensor.shape)
    guard scales.shape == grid else {
      return "the shape of the scales is \(scales.shape), but \(block) blocks of \(tensor.shape) make \(grid)"
    }
    return nil
  }

  // MARK: what is refused

  private static let remedy = "merge the unquantised checkpoint, or save this one as bfloat16, for example with transformers"

  private static let configRemedy =
    "put its config.json beside it, whose quantization_config tells the blocks: quant_method fp8 and weight_block_size"

  private mutating func report(_ code: Problem.Code, _ message: String, _ tensor: Checkpoint.Tensor, remedy: String) {
    problems.append(
      Problem(code, message, file: checkpoint.path(of: tensor.file).string, tensor: tensor.name, remedy: remedy))
  }

  private var config: String { checkpoint.folder.appending("config.json").string }

  private mutating func refuse(_ quantisation: Quantisation) {
    let how = quantisation.method.map { "by \($0), which" } ?? "in an unnamed way, which"
    problems.append(
      Problem(
        .quantised, "the checkpoint is quantised \(how) cannot be extrapolated", file: config,
        remedy: Self.remedy + "; where the weights are not quantised, remove quantization_config"))
  }

  private mutating func refuseBlockSize() {
    let sizes = "two numbers from \(BlockSize.limits.lowerBound) to \(BlockSize.limits.upperBound)"
    problems.append(
      Problem(
        .quantised, "the weights are quantised by fp8, but weight_block_size is not \(sizes)", file: config, remedy: Self.remedy))
  }

  /// A float tensor that means nothing without its scales must not be extrapolated as if it did.
  private mutating func refuseCompanions() {
    for tensor in checkpoint.tensors where !companions.contains(tensor.name) {
      guard let companion = QuantisationNames.match(tensor.name) else { continue }
      let owners = companion.owners.filter(names.contains)
      guard companion.isTelling || !owners.isEmpty else { continue }
      let how = companion.method.map { " by \($0)" } ?? ""
      report(
        .quantised,
        "the weights are quantised\(how): \(owners.first ?? companion.stem) goes with the companion \(tensor.name)", tensor,
        remedy: tensor.name.hasSuffix(Self.ending) ? Self.configRemedy : Self.remedy)
    }
  }
}
