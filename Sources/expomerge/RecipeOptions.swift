public import ArgumentParser
import Checkpoint
public import Kernels
public import Planning

/// The pair, as all commands that merge take it.
struct ModelOptions: ParsableArguments {
  @Option(help: ArgumentHelp("The weaker checkpoint that training started from: a folder, a file, or org/name in the cache of Hugging Face.", valueName: "model"), completion: .file())
  var sft: String

  @Option(help: ArgumentHelp("The checkpoint trained from it by DPO, RLHF or the like.", valueName: "model"), completion: .file())
  var aligned: String

  /// As one would type them.
  var commandLine: [String] { ["--sft", sft, "--aligned", aligned] }
}

/// The recipe but for its alpha, as all commands that merge take it.
struct RecipeOptions: ParsableArguments {
  @Option(
    parsing: .unconditionalSingleValue,
    help: ArgumentHelp(
      "Another alpha for some tensors, as in part=mlp;layers=0-15:0.1; the first rule that fits is taken.", valueName: "rule"),
    transform: { try AlphaRule(text: $0) })
  var rule: [AlphaRule] = []

  @Option(help: ArgumentHelp("A YAML file with any of these options, or one of mergekit.", valueName: "file"), completion: .file(extensions: ["yaml", "yml"]))
  var recipe: String?

  @Option(help: ArgumentHelp("Dtype of computed tensors: bf16, f16, f32 or f64. Default: that of aligned.", valueName: "dtype"))
  var dtype: OutputDType?

  @Option(help: ArgumentHelp("Rounding: float32, or reference for the bits of the authors' script.", valueName: "kind"))
  var arithmetic = Arithmetic.float32

  @Option(help: ArgumentHelp("Where vocabularies differ: refuse, or overlap to extrapolate the common rows.", valueName: "policy"))
  var vocabulary = Recipe.Vocabulary.refuse

  @Option(help: ArgumentHelp("Bytes of tensors in one output file.", valueName: "size"))
  var maxFileSize = ByteSize(5_000_000_000)

  @Option(help: ArgumentHelp("Bytes of a shard, a multiple of 64KiB.", valueName: "size"))
  var shardSize = ByteSize(64 << 20)

  enum OutputDType: String, ExpressibleByArgument, CaseIterable {
    case bf16, f16, f32, f64

    var dtype: DType {
      switch self {
      case .bf16: .bf16
      case .f16: .f16
      case .f32: .f32
      case .f64: .f64
      }
    }
  }

  func recipe(alphas: [Double]) -> Recipe {
    Recipe(
      alphas: alphas, rules: rule, arithmetic: arithmetic, dtype: dtype?.dtype, vocabulary: vocabulary,
      maxFileSize: maxFileSize.bytes, shardSize: shardSize.bytes)
  }

  /// As one would type them.
  var commandLine: [String] {
    var words: [String] = []
    for rule in rule { words += ["--rule", rule.text] }
    if let dtype { words += ["--dtype", dtype.rawValue] }
    if arithmetic != .float32 { words += ["--arithmetic", arithmetic.rawValue] }
    if vocabulary != .refuse { words += ["--vocabulary", vocabulary.rawValue] }
    if maxFileSize.bytes != 5_000_000_000 { words += ["--max-file-size", maxFileSize.defaultValueDescription] }
    if shardSize.bytes != 64 << 20 { words += ["--shard-size", shardSize.defaultValueDescription] }
    return words
  }
}

extension Arithmetic: ExpressibleByArgument {}
extension Recipe.Vocabulary: ExpressibleByArgument {}
