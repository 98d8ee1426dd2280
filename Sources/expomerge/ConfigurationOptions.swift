import ArgumentParser

/// Where a daemon's options come from besides the command line; `DaemonArguments` reads them before it is parsed.
struct ConfigurationOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp("A YAML file with any of these options. Default: $EXPOMERGE_CONFIG.", valueName: "file"),
    completion: .file(extensions: ["yaml", "yml"]))
  var config: String?

  @Flag(help: "Check the options and what they name, print them and where they are said, and end.")
  var checkConfig = false
}
