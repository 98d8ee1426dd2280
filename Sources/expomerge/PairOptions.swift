import ArgumentParser
import Checkpoint
import Diagnostics
import Planning
import SystemPackage

/// The pair and the recipe, as `merge` and `plan` take them.
struct PairOptions: ParsableArguments {
  @OptionGroup var models: ModelOptions

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

  @OptionGroup var recipe: RecipeOptions

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

  func validate() throws {
    guard (alpha == nil) != (gamma == nil) else { throw ValidationError("Give either --alpha or --gamma.") }
    if let gamma, !(0...1).contains(gamma) { throw ValidationError("--gamma is from 0 to 1; beyond that use --alpha.") }
  }

  private var chosenAlphas: [Double] { alpha?.values ?? gamma.map { [$0 - 1] } ?? [0] }

  var sft: String { models.sft }
  var aligned: String { models.aligned }

  /// What the merge is asked for.
  var wanted: Recipe { recipe.recipe(alphas: chosenAlphas) }

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
    models.commandLine + ["--alpha", chosenAlphas.map { "\($0)" }.joined(separator: ",")] + recipe.commandLine
  }
}

/// A word as a shell takes it.
func shellQuoted(_ word: String) -> String {
  let isPlain = !word.isEmpty && word.utf8.allSatisfy { byte in
    (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte) || "-_./:=@%+,".utf8.contains(byte)
  }
  return isPlain ? word : "'" + word.replacing("'", with: "'\\''") + "'"
}
