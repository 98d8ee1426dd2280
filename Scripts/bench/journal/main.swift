import Diagnostics
import Digests
import FileIO
import Glibc
import Journal
import Kernels
import Planning
import SystemPackage
import Threads

// How fast shards are recorded durably, in a folder that is given: as many as there can be with 2,000 waiting, one at a
// time, and 1,000 a second. Beside it, how long the disk takes to make 4 KiB at a file's end durable. Prints one JSON object, in seconds.

let (many, outstanding, single, rate, paced) = (200_000, 2_000, 1_000, 1_000, 10_000)

guard CommandLine.arguments.count == 2 else { fatalError("usage: journal-bench FOLDER") }
let folder = FilePath(CommandLine.arguments[1])

func record(_ number: Int) -> ShardRecord {
  var sums = DeltaSums()
  sums.deltaSquared = Double(number)
  return ShardRecord(
    shard: number, digests: [Digest128(high: 1, low: UInt64(number))], worker: "node-17", attempt: 1, epoch: 1, bytes: 64 << 20,
    milliseconds: 25, finishedAt: wallMilliseconds(),
    segments: (0..<3).map { .init(pair: number + $0, sums: sums, differingBytes: 0) })
}

/// Seconds that each took, in order of completion.
let latencies = Monitor([Double]())

func submit(_ number: Int, to journal: Journal) {
  let start = bootNanoseconds()
  journal.record(record(number), of: 1) { result in
    if case .failure(let failure) = result { fatalError("\(failure)") }
    let seconds = Double(bootNanoseconds() - start) / 1e9
    latencies.update { $0.append(seconds) }
  }
}

func wait(for count: Int) {
  latencies.wait { $0.count >= count ? () : nil }
}

/// The latencies since this was last asked, as members of a JSON object.
func summary(_ name: String) -> String {
  let sorted = latencies.update { latencies in
    defer { latencies = [] }
    return latencies.sorted()
  }
  func quantile(_ part: Double) -> Double { sorted[Int(part * Double(sorted.count - 1))] }
  return [("P50", 0.5), ("P99", 0.99), ("Most", 1)].map { #""\#(name)\#($0)": \#(quantile($1))"# }.joined(separator: ", ")
}

func seconds(_ body: () throws -> Void) rethrows -> Double {
  let start = bootNanoseconds()
  try body()
  return Double(bootNanoseconds() - start) / 1e9
}

try Directories.live.makeDirectory(folder)
let path = folder.appending("journal.sqlite")
for suffix in ["", "-wal"] { try Directories.live.removeTree(FilePath(path.string + suffix)) }
let make = try seconds { try Journal.open(path).close() }
var journal = try Journal.open(path)
let zero = Digest128(high: 0, low: 0)
try journal.add(
  JobRecord(
    number: 1, submittedAt: wallMilliseconds(), recipe: Recipe(alpha: 0.3), aligned: "/aligned", sft: "/sft", output: "/out",
    options: "{}", plan: zero, alignedFiles: [], sftFiles: [], nonce: ""))

let throughput = seconds {
  for number in 0..<many {
    latencies.wait { number - $0.count < outstanding ? () : nil }
    submit(number, to: journal)
  }
  wait(for: many)
}
_ = summary("")

for number in 0..<single {
  submit(many + number, to: journal)
  wait(for: number + 1)
}
let alone = summary("alone")

let start = bootNanoseconds()
for number in 0..<paced {
  let until = start + Int64(number) * 1_000_000_000 / Int64(rate)
  var time = timespec(tv_sec: Int(until / 1_000_000_000), tv_nsec: Int(until % 1_000_000_000))
  while clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &time, nil) == EINTR {}
  submit(many + single + number, to: journal)
}
wait(for: paced)
let pacedRate = Double(paced) / (Double(bootNanoseconds() - start) / 1e9)
let busy = summary("paced")

let close = seconds { journal.close() }
let open = try seconds { journal = try Journal.open(path) }
var kept = 0
let read = try seconds { kept = try journal.shards(of: 1).count }
guard kept == many + single + paced else { fatalError("\(kept) shards are left") }
let bytes = try File.open(path).status().size
journal.close()

let log = try File.create(folder.appending("log"))
let block = [UInt8](repeating: 1, count: 4096)
for number in 0..<single {
  let took = try seconds {
    try log.write(block, at: number * block.count)
    try log.syncData()
  }
  latencies.update { $0.append(took) }
}
print(
  #"{"recordsPerSecond": \#(Int(Double(many) / throughput)), \#(alone), "pacedRate": \#(pacedRate), \#(busy), "#
    + #""makeSeconds": \#(make), "closeSeconds": \#(close), "openSeconds": \#(open), "readSeconds": \#(read), "#
    + #""bytes": \#(bytes), "shards": \#(kept), \#(summary("sync"))}"#)
