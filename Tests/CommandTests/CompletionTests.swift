import Foundation
import SystemPackage
import TestSupport
import Testing

/// What bash offers when Tab is pressed.
@Suite("Completions", .timeLimit(.minutes(10)))
struct CompletionTests {
  let folder = TemporaryFolder()

  /// Completes lines as bash would, in the folder.
  private func complete(_ lines: [String]) throws -> [String: Set<String>] {
    let script = try Tool(folder: folder.path)("--generate-completion-script", "bash")
    #expect(script.status == 0)
    folder.write(script.output, to: "scripts/expomerge")
    folder.write(
      #"""
      source scripts/expomerge
      for COMP_LINE in "$@"; do
        COMP_POINT=${#COMP_LINE} COMPREPLY=()
        read -ra COMP_WORDS <<<"$COMP_LINE"
        [[ $COMP_LINE != *' ' ]] || COMP_WORDS+=('')
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        _expomerge expomerge "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s=%s\n' "$COMP_LINE" "${COMPREPLY[*]}"
      done
      """#, to: "scripts/complete")
    let output = folder("scripts/output")
    let process = try ChildProcess(["/bin/bash", "scripts/complete"] + lines, in: folder.path, output: output)
    #expect(process.wait() == .exited(0))
    let text = TemporaryFolder.contents(output).map { String(decoding: $0, as: UTF8.self) } ?? ""
    let pairs = text.split(separator: "\n").map { $0.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false) }
    return Dictionary(pairs.map { (String($0[0]), Set($0[1].split(separator: " ").map(String.init))) }) { $1 }
  }

  @Test("commands, options and their values; folders where these are meant, and files of the right kind")
  func bash() throws {
    for name in ["models/a", "mail.yaml", "mix.txt"] { folder.write("", to: name) }
    let expected: [String: Set<String>] = [
      "expomerge me": ["merge"],
      "expomerge s": ["sample", "search", "submit", "status"],
      "expomerge generate": [],
      "expomerge merge --al": ["--alpha", "--aligned"],
      "expomerge submit --on": ["--on-finish"],
      "expomerge worker --read ": ["auto", "mmap", "pread"],
      "expomerge merge --output m": ["models"],
      "expomerge coordinator --state m": ["models"],
      "expomerge worker --root m": ["models"],
      "expomerge doctor --output m": ["models"],
      "expomerge verify m": ["models"],
      "expomerge merge --recipe m": ["models", "mail.yaml"],
      "expomerge coordinator --config m": ["models", "mail.yaml"],
      "expomerge worker --keys m": ["models", "mail.yaml", "mix.txt"],
      "expomerge merge --sft m": ["models", "mail.yaml", "mix.txt"],
    ]
    #expect(try complete(expected.keys.sorted()) == expected)
  }

  @Test("the scripts of all shells name every command that is shown", arguments: ["bash", "zsh", "fish"])
  func shells(_ shell: String) throws {
    let tool = Tool(folder: folder.path)
    let script = try tool("--generate-completion-script", shell)
    #expect(script.status == 0)
    let help = try tool("--help").output
    let commands = (help.components(separatedBy: "SUBCOMMANDS:").last ?? "").split(separator: "\n")
      .compactMap { $0.firstMatch(of: /^\s{2}([a-z]+)\s/).map { String($0.output.1) } }
    #expect(commands.count >= 15)
    for command in commands { #expect(script.output.contains(command), "\(command)") }
    #expect(!script.output.contains("generate-manual"))
  }
}
