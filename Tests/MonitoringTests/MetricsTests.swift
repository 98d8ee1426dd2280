import Monitoring
import Testing
import Wire

@Suite("Metrics") struct MetricsTests {
  @Test("values and labels are written as Prometheus reads them")
  func format() {
    var metrics = Metrics()
    metrics.add("a_seconds", .gauge, "With a \\ and a\nnew line.", 0.25)
    metrics.add("b_total", .counter, "Of \"two\".", [([("name", "x\"y\\z\n")], 1e15), ([("name", "ä"), ("n", "2")], .infinity)])
    metrics.add("c", .gauge, "None.", [])
    metrics.add("d", .gauge, "Odd.", .nan)
    #expect(
      metrics.text == #"""
        # HELP a_seconds With a \\ and a\nnew line.
        # TYPE a_seconds gauge
        a_seconds 0.25
        # HELP b_total Of "two".
        # TYPE b_total counter
        b_total{name="x\"y\\z\n"} 1000000000000000
        b_total{name="ä",n="2"} +Inf
        # HELP d Odd.
        # TYPE d gauge
        d NaN

        """#)
  }

  @Test("workers with one name are one series; jobs that are over are none")
  func series() {
    func worker(_ name: String, _ session: UInt64, bytes: Int) -> Status.Worker {
      Status.Worker(
        name: name, session: SessionID(session), key: nil, host: "h", process: 1, version: "1", level: "v3", state: .active, slots: 2,
        running: 1, queued: 0, shards: 3, bytes: bytes, failures: 0, rate: 0, lastSeenSeconds: 0, jobs: [])
    }
    let jobs = [(1, Status.JobState.running), (2, .complete), (3, .failed)].map {
      Status.Job(job: JobID($0.0), state: $0.1, phase: "", priority: 0, aligned: "/a", sft: "/s", output: "/o", alphas: [0.3])
    }
    let status = Status(
      coordinator: .init(version: "1", host: "h", process: 1, epoch: 2, uptimeSeconds: 3, discarded: ["late": 4]), jobs: jobs,
      workers: [worker("b", 1, bytes: 5), worker("a", 2, bytes: 7), worker("b", 3, bytes: 11)])
    let view = CoordinatorView(status: status, totals: .init(), throughput: [], events: [], isReady: true)
    let lines = view.metrics(nil).split(separator: "\n")
    #expect(lines.contains(#"expomerge_worker_output_bytes_total{worker="b"} 16"#))
    #expect(lines.contains(#"expomerge_worker_output_bytes_total{worker="a"} 7"#))
    #expect(lines.contains(#"expomerge_workers{state="active"} 3"#))
    #expect(lines.contains(#"expomerge_jobs{state="running"} 1"#))
    #expect(lines.contains(#"expomerge_messages_discarded_total{reason="late"} 4"#))
    #expect(lines.filter { $0.hasPrefix("expomerge_job_size_bytes") } == [#"expomerge_job_size_bytes{job="1"} 0"#])
    let samples = lines.filter { !$0.hasPrefix("#") }.map { $0.prefix { $0 != " " } }
    #expect(Set(samples).count == samples.count, "no series is there twice")
  }

  @Test("what the process costs is read from the kernel")
  func process() throws {
    let figures = try #require(ProcessFigures())
    #expect(figures.residentBytes > 1 << 20 && figures.virtualBytes >= figures.residentBytes)
    #expect(figures.openDescriptors >= 3 && figures.openDescriptors <= figures.descriptorLimit && figures.threads >= 1)
    #expect(figures.startedAt > 1.7e9)
    #expect(try #require(ProcessFigures()).processorSeconds >= figures.processorSeconds)
  }
}

@Suite("Throughput") struct ThroughputTests {
  static let second: Int64 = 1_000_000_000

  @Test("bytes are put to their stretch, and old ones are forgotten")
  func stretches() {
    var throughput = Throughput()
    throughput.add(5, at: 1000 * Self.second)
    throughput.add(7, at: 1001 * Self.second)
    throughput.add(11, at: 1002 * Self.second)
    #expect(throughput.values(at: 1002 * Self.second).suffix(3) == [0, 12, 11])
    #expect(throughput.values(at: 1007 * Self.second).suffix(4) == [12, 11, 0, 0])
    throughput.add(13, at: (1000 + 299) * Self.second)
    let values = throughput.values(at: 1299 * Self.second)
    #expect(values.count == Throughput.count && values.first == 12 && values.last == 13 && values.reduce(0, +) == 36)
    #expect(throughput.values(at: 1300 * Self.second).reduce(0, +) == 24)
    #expect(throughput.values(at: 900_000 * Self.second).allSatisfy { $0 == 0 })
  }
}
