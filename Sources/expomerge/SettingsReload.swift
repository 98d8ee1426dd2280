import Diagnostics
import Logging
import Recipes
import Synchronization

/// The settings of a daemon, which SIGHUP makes it read again: some are taken at once, all others at the next start.
final class SettingsReload: Sendable {
  /// Takes the value of a setting, or its default where it is not given; returns whether it has one like it.
  typealias Take = @Sendable (String?) -> Bool

  private let arguments = Array(CommandLine.arguments.dropFirst())
  /// The values that count, by the name of the setting.
  private let values: Mutex<[String: [String]]>
  private let takes: Mutex<[String: Take]>
  private let logger: Logger

  init(logger: Logger) {
    self.logger = logger
    values = Mutex((try? Self.read(arguments)) ?? [:])
    takes = Mutex([
      "log-level": { value in
        guard let level = LogOptions.Level(rawValue: value ?? LogOptions.Level.info.rawValue) else { return false }
        LogOptions.setLevel(level)
        return true
      }
    ])
  }

  /// From now on this setting is taken at once.
  func take(_ name: String, _ take: @escaping Take) {
    takes.withLock { $0[name] = take }
  }

  private static func read(_ arguments: [String]) throws(Failure) -> [String: [String]] {
    Dictionary(try DaemonArguments.configuration(arguments).settings.map { ($0.option.name, $0.values) }) { $1 }
  }

  func read() {
    do throws(Failure) {
      let new = try Self.read(arguments)
      logger.info("SIGHUP: the settings were read again")
      let old = values.withLock { $0 }
      for name in Set(new.keys).union(old.keys).sorted() where new[name] != old[name] {
        guard let take = takes.withLock({ $0[name] }) else {
          logger.warning("SIGHUP: \(name) was changed, which takes effect at the next start")
          continue
        }
        let value = new[name]?.last
        if take(value) {
          values.withLock { $0[name] = new[name] }
          logger.notice("SIGHUP: \(name) is \(value ?? "the default") now")
        } else {
          logger.error("SIGHUP: \(name) cannot be \(value ?? "the default"): it stays as it is")
        }
      }
    } catch {
      for problem in error.problems { logger.error("SIGHUP: the settings stay as they are: \(problem)") }
    }
  }
}
