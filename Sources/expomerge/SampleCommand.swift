public import ArgumentParser
import Coordinator
import Diagnostics
import Figures
public import SampleModels
import SystemPackage
import Threads

struct SampleCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sample", abstract: "Make a pair of checkpoints with random weights, to try things out.",
    discussion: "Writes DIR/sft and DIR/aligned with the files and shapes of a real model.")

  @Option(name: [.short, .long], help: ArgumentHelp("The folder to make.", valueName: "dir"), completion: .directory)
  var output: String

  @Option(help: ArgumentHelp("tiny, llama-1b, llama-7b, llama-70b or deepseek-671b.", valueName: "name"))
  var shape: ModelShape

  @Option(help: ArgumentHelp("bf16, f16 or f32.", valueName: "dtype"))
  var dtype = SamplePair.Element.bf16

  @Option(help: ArgumentHelp("Of the random weights.", valueName: "n"))
  var seed: UInt64 = 0

  @Flag(help: "Make files of holes: all weights are zero, and no disk space is used.")
  var sparse = false

  @OptionGroup(title: "Printing") var console: Console

  func run() throws {
    try console.reporting { () throws(Failure) in
      let pair = SamplePair(shape: shape, element: dtype, seed: seed, isSparse: sparse)
      let start = ProgressDisplay.now()
      let display = ProgressDisplay(console: console)
      defer { display.finish() }
      let progress = Progress()
      progress.begin(.sampling, total: pair.bytesPerSide * 2)
      try pair.write(to: FilePath(output), threads: ThreadTeam.availableCPUs) { count in
        progress.add(count)
        display.show(progress.snapshot)
      }
      display.finish()
      let seconds = ProgressDisplay.now() - start
      console.result(
        "Made \(output)/sft and \(output)/aligned: \(Format.plural(shape.tensors.count, "tensor")) and \(Format.bytes(pair.bytesPerSide)) each"
      )
      console.emit(
        Message(output: output, shape: shape.rawValue, bytesPerSide: pair.bytesPerSide, seconds: seconds))
    }
  }

  private struct Message: Encodable {
    let type = "sample"
    let output: String
    let shape: String
    let bytesPerSide: Int
    let seconds: Double
  }
}

extension ModelShape: ExpressibleByArgument {}
extension SamplePair.Element: ExpressibleByArgument {}
