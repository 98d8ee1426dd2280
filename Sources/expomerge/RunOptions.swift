import ArgumentParser
import Coordinator
import Threads
import Worker

/// How work is run on this machine.
struct RunOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Threads; one for each CPU by default.", valueName: "n"))
  var threads: Int?

  @Option(help: ArgumentHelp("How inputs are read: auto, mmap or pread.", valueName: "method"))
  var read = ReadChoice.auto

  enum ReadChoice: String, ExpressibleByArgument, CaseIterable {
    case auto, mmap, pread

    var method: ReadMethod? {
      switch self {
      case .auto: nil
      case .mmap: .mmap
      case .pread: .pread
      }
    }
  }

  func validate() throws {
    if let threads, !(1...1024).contains(threads) { throw ValidationError("--threads must be from 1 to 1024.") }
  }

  var threadCount: Int { threads ?? ThreadTeam.availableCPUs }

  func context(_ display: ProgressDisplay, cancellation: Cancellation) -> RunContext {
    RunContext(threads: threadCount, readMethod: read.method, cancellation: cancellation) { display.show($0) }
  }
}
