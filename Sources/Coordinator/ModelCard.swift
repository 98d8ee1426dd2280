import Checkpoint
import Digests
import Figures
import Kernels
import Planning
import Report
import SystemPackage

/// The README.md of a merged model, as model hubs expect it: YAML front matter and how it was made.
struct ModelCard {
  let name: String
  let alignedName: String
  let sftName: String
  let manifest: Manifest
  let command: String
  let isTransformers: Bool

  var markdown: String {
    var lines = ["---"]
    lines += ["base_model:", "- \(quoted(alignedName))", "- \(quoted(sftName))", "base_model_relation: merge"]
    if isTransformers { lines.append("library_name: transformers") }
    lines += ["tags:", "- merge", "- expo", "- weight-extrapolation", "- expomerge", "---", "", "# \(name)", ""]
    lines += [
      "Merged with expomerge \(manifest.version) by weight extrapolation (ExPO,",
      "[arXiv:2404.16792](https://arxiv.org/abs/2404.16792)):", "",
      "    out = aligned + alpha * (aligned - sft)", "",
      "| | |", "|---|---|",
      "| aligned | \(alignedName) |", "| sft | \(sftName) |",
    ]
    lines += manifest.recipe.rows.map { "| \($0.name) | \($0.text) |" }
    if let norm = manifest.total.relativeNorm { lines.append("| relative norm of the delta | \(decimal(norm, 5)) |") }
    if let cosine = manifest.total.cosine { lines.append("| cosine of aligned and sft | \(decimal(cosine, 6)) |") }
    lines += ["", "## Command", "", "```", command, "```", "", "## Digests", ""]
    lines += ["| file | bytes | \(manifest.files.first?.sha256 == nil ? "XXH3-128 of the first shard" : "SHA-256") |", "|---|---|---|"]
    for file in manifest.files {
      lines.append("| \(file.name) | \(file.bytes) | `\(file.sha256 ?? file.shards.first?.description ?? "")` |")
    }
    lines += [
      "", "All weights together: `\(manifest.weights)`. The digest of every shard is in `\(Manifest.fileName)`;",
      "`expomerge verify` checks them.", "",
    ]
    return lines.joined(separator: "\n")
  }

  /// A YAML string in double quotes, whatever is in it.
  private func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"", "\\": result += "\\" + String(scalar)
      case "\u{0}"..<"\u{20}": result += " "
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }

  /// What people call a checkpoint: `org/name` in the cache of Hugging Face, otherwise the folder's name.
  static func modelName(of folder: FilePath) -> String {
    for component in folder.components.reversed() where component.string.hasPrefix("models--") {
      return String(component.string.dropFirst("models--".count)).replacing("--", with: "/")
    }
    return folder.lastComponent?.string ?? folder.string
  }
}
