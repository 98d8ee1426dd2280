import ArgumentParser
import Coordinator
import Diagnostics
import FileIO
import FoundationEssentials
import SystemPackage

struct GenerateManualCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "generate-manual", abstract: "Write the pages of the manual, for Scripts/install.", shouldDisplay: false)

  @Option(
    name: [.short, .long], help: ArgumentHelp("The folder for them; made where it is missing.", valueName: "dir"),
    completion: .directory)
  var output: String

  @Option(help: ArgumentHelp("What they are dated. Default: today.", valueName: "date"))
  var date: String?

  func run() throws {
    try Console.forDaemons.reporting { () throws(Failure) in
      let program = ToolDescription.all
      let commands = (program.subcommands ?? []).filter { $0.shouldDisplay != false && $0.commandName != "help" }
      let date = date ?? Date().formatted(.iso8601.year().month().day())
      func page(_ command: ToolDescription.Command, of name: String?) -> ManualPage {
        ManualPage(command: command, program: name, commands: commands, version: expomergeVersion, date: date)
      }
      try Directories.live.makeDirectory(FilePath(output))
      for page in [page(program, of: nil)] + commands.map({ page($0, of: program.commandName) }) {
        let file = try File.create(FilePath(output).appending("\(page.name).1"))
        try file.write(Array(page.text.utf8), at: 0)
      }
    }
  }
}
