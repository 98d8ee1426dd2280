public import ArgumentParser
public import Coordinator

/// The folder to make, as `merge` and `submit` take it.
struct OutputOptions: ParsableArguments {
  @Option(name: [.short, .long], help: ArgumentHelp("The folder to make.", valueName: "dir"), completion: .directory)
  var output: String

  @Option(help: ArgumentHelp("full: all data is on the disk before OUTPUT appears. none: as after cp.", valueName: "when"))
  var sync = MergeJob.Sync.full

  @Flag(name: .customLong("sha256"), help: "Write SHA256SUMS, for sha256sum -c and to compare with model hubs.")
  var sha256 = false

  @Flag(help: "Replace OUTPUT if it exists.")
  var overwrite = false

  @Flag(help: "Discard what an interrupted merge left in OUTPUT.partial, and begin again.")
  var restart = false
}

extension MergeJob.Sync: ExpressibleByArgument {}
