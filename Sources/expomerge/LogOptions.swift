import ArgumentParser
import Diagnostics
import FoundationEssentials
import Glibc
import Logging
import Synchronization

/// How a daemon logs: one line an event, on stderr, where systemd and others collect it.
struct LogOptions: ParsableArguments {
  enum LogFormat: String, ExpressibleByArgument, CaseIterable {
    case text, json
  }

  @Option(help: ArgumentHelp("Log lines as text, or as JSON objects.", valueName: "format"))
  var logFormat = LogFormat.text

  @Option(help: ArgumentHelp("The least that is logged: debug, info, warning or error.", valueName: "level"))
  var logLevel = Level.info

  enum Level: String, ExpressibleByArgument, CaseIterable {
    case debug, info, warning, error

    var level: Logger.Level {
      switch self {
      case .debug: .debug
      case .info: .info
      case .warning: .warning
      case .error: .error
      }
    }
  }

  /// Of all logs of the process: what is running can be told to say more.
  fileprivate static let level = Mutex(Logger.Level.info)

  static func setLevel(_ new: Level) {
    level.withLock { $0 = new.level }
  }

  func logger(_ label: String) -> Logger {
    Self.setLevel(logLevel)
    let format = logFormat
    return Logger(label: label) { label in StderrLog(label: label, format: format) }
  }
}

/// Writes each event as one line, with one write, so that lines of several processes do not mix.
private struct StderrLog: LogHandler {
  let label: String
  let format: LogOptions.LogFormat
  var logLevel: Logger.Level {
    get { LogOptions.level.withLock { $0 } }
    set { LogOptions.level.withLock { $0 = newValue } }
  }
  var metadata: Logger.Metadata = [:]

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    let all = metadata.merging(event.metadata ?? [:]) { $1 }
    let time = Date().formatted(.iso8601.year().month().day().time(includingFractionalSeconds: true).timeZone(separator: .omitted))
    switch format {
    case .text:
      let more = all.sorted { $0.key < $1.key }.map { " \($0.key)=\($0.value)" }.joined()
      Console.writeError("\(time) \(Self.padded(event.level)) \(printable(event.message.description + more))")
    case .json:
      var object = ["time": time, "level": event.level.rawValue, "component": label, "message": event.message.description]
      for (key, value) in all { object[key] = "\(value)" }
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
      guard let data = try? encoder.encode(object) else { return }
      Console.writeError(printableJSON(String(decoding: data, as: UTF8.self)))
    }
  }

  private static func padded(_ level: Logger.Level) -> String {
    let name = level.rawValue
    return name + String(repeating: " ", count: max(0, 7 - name.count))
  }
}
