import Recipes

/// What pages of the manual say besides what the argument parser knows.
enum ManualText {
  struct Entry {
    let name: String
    let meaning: String

    init(_ name: String, _ meaning: String) {
      self.name = name
      self.meaning = meaning
    }
  }

  /// The table of docs/operations.md.
  static let exitCodes: [(code: Int, meaning: String)] = [
    (0, "done"),
    (64, "wrong use of the command line"),
    (65, "bad input data; a digest differs in verify"),
    (66, "an input, the manifest, a job, a worker, a --root, a key file or the file of --config is not there"),
    (69, "no coordinator answers; it rejects this worker; an address is in use; in search, the score command failed for every alpha"),
    (70, "an error of expomerge itself"),
    (73, "the output cannot be created: it exists, is locked, or does not fit on the disk"),
    (74, "reading or writing failed"),
    (75, "stopped by a signal; no output"),
    (77, "not permitted: no key is given where a coordinator needs one; a key is not authorized, of another role, or open to others; a file's mode"),
    (78, "bad recipe or configuration"),
  ]

  static func variables(of command: ToolDescription.Command, _ program: String?) -> [Entry] {
    let names = Set((command.arguments ?? []).compactMap(\.longName))
    var entries: [Entry] = []
    if DaemonArguments.commands.contains(command.commandName) {
      let options = DaemonArguments.options(of: command.commandName)
      for option in options {
        let form =
          switch option.kind {
          case .value: ""
          case .list: ", with colons between several, or line breaks"
          case .flag: ": true or false"
          }
        entries.append(Entry(option.variable, "What --\(option.name) is if it is not on the command line\(form)."))
      }
      entries.append(Entry("EXPOMERGE_CONFIG", "The file that --config names."))
    } else if names.contains("coordinator") {
      entries.append(Entry("EXPOMERGE_COORDINATOR", "What --coordinator is if it is not on the command line."))
      if names.contains("server-key") {
        entries.append(Entry("EXPOMERGE_KEYS", "The same for --keys."))
        entries.append(Entry("EXPOMERGE_SERVER_KEY", "The same for --server-key."))
      }
    }
    if names.contains("on-finish") {
      entries.append(
        Entry(
          "EXPOMERGE_JOB, EXPOMERGE_STATE, EXPOMERGE_OUTPUT, EXPOMERGE_EXIT_CODE",
          "Of the command of --on-finish: the job's number; complete, failed or cancelled; the folder; what this command will end with."))
    }
    if program == nil || names.contains("aligned") {
      entries.append(Entry("HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME", "Where models are that are named as on a hub, org/name."))
    }
    return entries
  }

  static func files(of command: String) -> [Entry] {
    switch command {
    case "merge", "submit":
      [
        Entry("OUTPUT.partial", "The merge while it is made, with its journal; the same command goes on with it."),
        Entry("OUTPUT/expomerge.json", "The manifest: recipe, inputs, digests of all shards."),
        Entry("OUTPUT/README.md, OUTPUT/report.html", "The model card, and a report on what the merge changed."),
      ]
    case "verify": [Entry("DIR/expomerge.json", "The manifest, which digests are compared with.")]
    case "coordinator":
      [
        Entry("STATE/journal.sqlite, STATE/journal.sqlite-wal", "Jobs and what is done of them."),
        Entry("STATE/lock", "Says who has the folder."),
        Entry("AUTHORIZED/NAME.key", "The key of a worker or person that is let in."),
      ]
    case "keygen":
      [
        Entry("DIR/NAME.key_secret", "The secret key, which only its owner may read."),
        Entry("DIR/NAME.key", "The public key."),
      ]
    default: []
    }
  }
}
