public import ArgumentParser
import Checkpoint
import Diagnostics
public import Kernels
public import Planning
import SystemPackage

/// The pair and the recipe, as `merge` and `plan` take them.
struct PairOptions: ParsableArguments {
  @Option(help: ArgumentHelp("The weaker checkpoint that training started from: a folder, a file, or org/name in the cache of Hugging Face.", valueName: "model"), completion: .file())
  var sft: String

  @Option(help: ArgumentHelp("The checkpoint trained from it by DPO, RLHF or the like.", valueName: "model"), completion: .file())
  var aligned: String

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "How far to extrapolate: 0.1 to 0.5 are usual; -1 to 0 interpolates. Several, as in 0.1,0.2,0.3, make a checkpoint each, in folders like alpha-0.1 of the output.",
      valueName: "alpha"))
  var alpha: AlphaList?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Instead of alpha: interpolate, 0 for sft, 1 for aligned; alpha is gamma - 1.", valueName: "gamma"))
  var gamma: Double?

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

  /// One alpha, or several with commas between them.
  struct AlphaList: ExpressibleByArgument {
    let values: [Double]

    init?(argument: String) {
      var values: [Double] = []
      for word in argument.split(separator: ",", omittingEmptySubsequences: false) {
        guard let value = Double(word) else { return nil }
        values.append(value)
      }
      self.values = values
    }
  }

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

  func validate() throws {
    guard (alpha == nil) != (gamma == nil) else { throw ValidationError("Give either --alpha or --gamma.") }
    if let gamma, !(0...1).contains(gamma) { throw ValidationError("--gamma is from 0 to 1; beyond that use --alpha.") }
  }

  private var chosenAlphas: [Double] { alpha?.values ?? gamma.map { [$0 - 1] } ?? [0] }

  /// What the merge is asked for.
  var wanted: Recipe {
    Recipe(
      alphas: chosenAlphas, rules: rule, arithmetic: arithmetic, dtype: dtype?.dtype, vocabulary: vocabulary,
      maxFileSize: maxFileSize.bytes, shardSize: shardSize.bytes)
  }

  /// Looks at both checkpoints and plans; reports the problems of both at once.
  func plan() throws(Failure) -> Plan { try Self.plan(sft: sft, aligned: aligned, wanted) }

  static func plan(sft: String, aligned: String, _ recipe: Recipe) throws(Failure) -> Plan {
    var problems: [Problem] = []
    var category = Failure.Category.badData
    func open(_ path: String) -> Checkpoint? {
      do throws(Failure) {
        return try Checkpoint.open(ModelReference(path).path())
      } catch {
        problems += error.problems
        category = error.category
        return nil
      }
    }
    let aligned = open(aligned)
    let sft = open(sft)
    guard let aligned, let sft else { throw Failure(category, problems) }
    return try Plan(aligned: aligned, sft: sft, recipe: recipe)
  }

  /// The options as one would type them, for the model card.
  var commandLine: [String] {
    var words = ["--sft", sft, "--aligned", aligned, "--alpha", chosenAlphas.map { "\($0)" }.joined(separator: ",")]
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

/// A word as a shell takes it.
func shellQuoted(_ word: String) -> String {
  let isPlain = !word.isEmpty && word.utf8.allSatisfy { byte in
    (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte) || "-_./:=@%+,".utf8.contains(byte)
  }
  return isPlain ? word : "'" + word.replacing("'", with: "'\\''") + "'"
}
