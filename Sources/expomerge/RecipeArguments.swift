import Diagnostics
import FileIO
import Planning
import Recipes
import SystemPackage

/// Puts what a recipe file says into the command line that names it, before all that is typed: of two values the last is taken.
enum RecipeArguments {
  private static let commands: Set = ["merge", "search", "plan", "submit"]

  /// Not on-finish: a recipe of others for merging runs nothing of theirs. What scores is part of a search, as docs/search.md says.
  private static let options = RecipeFile.Options(
    valued: Set([
      "sft", "aligned", "alpha", "gamma", "dtype", "arithmetic", "vocabulary", "max-file-size", "shard-size", "output", "sync",
      "resume-trust", "listen", "listen-data", "limit-rate", "keys", "authorized", "threads", "read", "priority", "coordinator",
      "server-key", "timeout", "log-format", "log-level",
    ] + searching), flags: Set(["sha256", "overwrite", "restart", "insecure", "wait", "json", "quiet", "verbose"] + searchingFlags))

  /// Of `search` alone.
  private static let searching = [
    "alphas", "range", "tolerance", "max-candidates", "score-command", "score-jobs", "score-timeout", "keep", "disk-budget",
  ]
  private static let searchingFlags = ["refine", "lower-is-better", "retry-failed"]

  /// Options of which a command takes one: what is typed comes before another of the file.
  private static let alternatives: [Set<String>] = [["alpha", "gamma"], ["alphas", "range"]]

  /// Of the options, those that a command does not have; a recipe may be for all commands.
  private static let missing: [String: Set<String>] = [
    "merge": ["priority", "coordinator", "server-key", "timeout", "wait"],
    "search": [
      "alpha", "gamma", "resume-trust", "listen", "listen-data", "limit-rate", "keys", "authorized", "priority", "coordinator",
      "server-key", "timeout", "log-format", "log-level", "sha256", "overwrite", "insecure", "wait",
    ],
    "plan": [
      "sync", "resume-trust", "listen", "listen-data", "limit-rate", "keys", "authorized", "priority", "coordinator", "server-key",
      "timeout", "log-format", "log-level", "sha256", "overwrite", "restart", "insecure", "wait",
    ],
    "submit": [
      "resume-trust", "listen", "listen-data", "limit-rate", "authorized", "threads", "read", "log-format", "log-level", "insecure",
    ],
  ]

  private static func isMissing(_ name: String, in command: String) -> Bool {
    missing[command]?.contains(name) == true || command != "search" && (searching + searchingFlags).contains(name)
  }

  /// - Parameter arguments: without the program's name.
  static func expand(_ arguments: [String]) throws(Failure) -> [String] {
    guard let command = arguments.first, commands.contains(command), let place = place(in: arguments) else { return arguments }
    let file = try recipe(at: place.path)
    if !arguments.contains(where: ["--quiet", "-q", "--json"].contains) {
      for note in file.notes { Console.writeError("note: \(place.path): \(note)") }
    }
    var typed = Array(arguments.dropFirst())
    typed.removeSubrange(place.words.lowerBound - 1..<place.words.upperBound - 1)
    var words = [command]
    for setting in file.settings where !isMissing(setting.name, in: command) {
      let others = alternatives.first { $0.contains(setting.name) } ?? []
      if others.contains(where: { other in typed.contains { isOption($0, other) } }) { continue }
      words.append("--\(setting.name)" + (setting.value.map { "=\($0)" } ?? ""))
    }
    // Of rules the first that fits is taken.
    return words + typed + file.rules.map { "--rule=\($0.text)" }
  }

  private static func recipe(at path: String) throws(Failure) -> RecipeFile {
    let file = try File.open(FilePath(path))
    let size = try file.status().size
    let bytes = try file.read(at: 0, count: min(size, 2 << 20))
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw Failure(.badRecipe, Problem(.recipeInvalid, "is not text in UTF-8", file: path))
    }
    return try RecipeFile(text, file: path, options: options)
  }

  /// The file that a command line names, if it is one of a command that takes any.
  static func file(in arguments: [String]) -> String? {
    guard let command = arguments.first, commands.contains(command) else { return nil }
    return place(in: arguments)?.path
  }

  /// Where `--recipe FILE` or `--recipe=FILE` is.
  private static func place(in arguments: [String]) -> (words: Range<Int>, path: String)? {
    for (index, word) in arguments.enumerated() {
      if word == "--" { return nil }
      if word == "--recipe", index + 1 < arguments.count { return (index..<index + 2, arguments[index + 1]) }
      if word.hasPrefix("--recipe=") { return (index..<index + 1, String(word.dropFirst("--recipe=".count))) }
    }
    return nil
  }

  private static func isOption(_ word: String, _ name: String) -> Bool { word == "--\(name)" || word.hasPrefix("--\(name)=") }
}
