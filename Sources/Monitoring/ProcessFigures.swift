import Glibc

/// What the process costs, by the names that exporters usually give it.
public struct ProcessFigures: Sendable, Equatable {
  public var processorSeconds: Double
  public var residentBytes: Int
  public var virtualBytes: Int
  public var openDescriptors: Int
  public var descriptorLimit: Int
  public var threads: Int
  /// Seconds since 1970.
  public var startedAt: Double

  /// Of this process; nil where /proc does not tell.
  public init?() {
    guard let stat = Self.read("/proc/self/stat"), let end = stat.lastIndex(of: ")"), let descriptors = Self.countOfDescriptors()
    else { return nil }
    // From the third on: the second, the name, may have spaces and brackets.
    let fields = stat[stat.index(after: end)...].split(separator: " ")
    guard fields.count > 21 else { return nil }
    let ticks = Double(sysconf(Int32(_SC_CLK_TCK)))
    func number(_ field: Int) -> Int { Int(fields[field - 3]) ?? 0 }
    processorSeconds = Double(number(14) + number(15)) / ticks
    threads = number(20)
    startedAt = Self.seconds(CLOCK_REALTIME) - Self.seconds(CLOCK_BOOTTIME) + Double(number(22)) / ticks
    virtualBytes = number(23)
    residentBytes = number(24) * Int(sysconf(Int32(_SC_PAGESIZE)))
    openDescriptors = descriptors
    var limit = rlimit()
    descriptorLimit = getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 ? Int(clamping: limit.rlim_cur) : 0
  }

  func add(to metrics: inout Metrics) {
    metrics.add("process_cpu_seconds_total", .counter, "Processor time, of user and system.", processorSeconds)
    metrics.add("process_resident_memory_bytes", .gauge, "Resident memory.", Double(residentBytes))
    metrics.add("process_virtual_memory_bytes", .gauge, "Virtual memory.", Double(virtualBytes))
    metrics.add("process_open_fds", .gauge, "Open file descriptors.", Double(openDescriptors))
    metrics.add("process_max_fds", .gauge, "The limit of open file descriptors.", Double(descriptorLimit))
    metrics.add("process_threads", .gauge, "Threads.", Double(threads))
    metrics.add("process_start_time_seconds", .gauge, "When the process started, since 1970.", startedAt)
  }

  private static func seconds(_ clock: clockid_t) -> Double {
    var time = timespec()
    clock_gettime(clock, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }

  private static func read(_ path: String) -> String? {
    guard let file = fopen(path, "re") else { return nil }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 16)
    let count = fread(&bytes, 1, bytes.count, file)
    return String(decoding: bytes.prefix(count), as: UTF8.self)
  }

  private static func countOfDescriptors() -> Int? {
    guard let folder = opendir("/proc/self/fd") else { return nil }
    defer { closedir(folder) }
    var count = 0
    while let entry = readdir(folder) {
      if entry.pointee.d_name.0 != CChar(UInt8(ascii: ".")) { count += 1 }
    }
    // But for the one that counts.
    return count - 1
  }
}
