import Diagnostics
import Logging
import Recipes

/// The settings of a daemon, which SIGHUP makes it read again: the level of the log is taken at once, all else at the next start.
struct SettingsReload: Sendable {
  private let arguments = Array(CommandLine.arguments.dropFirst())
  private let atStart: [String: [String]]
  private let logger: Logger

  init(logger: Logger) {
    self.logger = logger
    atStart = (try? Self.values(arguments)) ?? [:]
  }

  private static func values(_ arguments: [String]) throws(Failure) -> [String: [String]] {
    Dictionary(try DaemonArguments.configuration(arguments).settings.map { ($0.option.name, $0.values) }) { $1 }
  }

  func read() {
    do throws(Failure) {
      let values = try Self.values(arguments)
      logger.info("SIGHUP: the settings were read again")
      let name = values["log-level"]?.last ?? LogOptions.Level.info.rawValue
      if let level = LogOptions.Level(rawValue: name) {
        if LogOptions.setLevel(level) { logger.notice("SIGHUP: the log's level is \(name) now") }
      } else {
        logger.error("SIGHUP: there is no level \(name) of the log: it stays as it is")
      }
      for name in Set(values.keys).union(atStart.keys).sorted() where name != "log-level" && values[name] != atStart[name] {
        logger.warning("SIGHUP: \(name) was changed, which takes effect at the next start")
      }
    } catch {
      logger.error("SIGHUP: the settings stay as they are: \(error)")
    }
  }
}
