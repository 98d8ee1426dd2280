// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
]

let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let grdb = Target.Dependency.product(name: "GRDB", package: "GRDB.swift")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let nio: [Target.Dependency] = ["NIOCore", "NIOPosix", "NIOHTTP1"].map { .product(name: $0, package: "swift-nio") }
let yams = Target.Dependency.product(name: "Yams", package: "Yams")
let systemPackage = Target.Dependency.product(name: "SystemPackage", package: "swift-system")

let package = Package(
  name: "expomerge",
  products: [.executable(name: "expomerge", targets: ["expomerge"])],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.6.0"),
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
    .package(url: "https://github.com/apple/swift-system", from: "1.8.0"),
    .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.0"),
  ],
  targets: [
    // Each target is one sentence; arrows point downwards only (docs/architecture.md).
    .executableTarget(
      name: "expomerge",
      dependencies: [
        "Coordinator", "SampleModels", "Recipes", "Search", "Processes", "Journal", "Worker", "Scheduling", "Transport", "Wire", "ZeroMQ", "Planning", "Threads",
        "Checkpoint", "Kernels", "Keys", "FileIO", "Diagnostics", "Digests", "Deltas", "Report", "Figures", "Monitoring", "StatusServer",
        "ServiceManager", "CLinux", argumentParser, logging, systemPackage,
      ], swiftSettings: strict),
    .target(name: "ServiceManager", swiftSettings: strict),
    .target(name: "StatusServer", dependencies: ["Diagnostics"] + nio, swiftSettings: strict),
    .target(name: "Search", dependencies: ["Figures", "Diagnostics"], swiftSettings: strict),
    .target(name: "Processes", dependencies: ["Diagnostics", "CLinux", systemPackage], swiftSettings: strict),
    .target(name: "Recipes", dependencies: ["Planning", "Checkpoint", "Diagnostics", yams], swiftSettings: strict),
    .target(
      name: "SampleModels",
      dependencies: ["Planning", "Checkpoint", "FileIO", "Threads", "Diagnostics", systemPackage],
      swiftSettings: strict),
    .target(
      name: "Coordinator",
      dependencies: [
        "Journal", "Worker", "Scheduling", "Transport", "Wire", "ZeroMQ", "Threads", "Planning", "Checkpoint", "Kernels", "Digests",
        "Deltas", "Report", "Figures", "Monitoring", "Keys", "FileIO", "Diagnostics", "CLinux", logging, systemPackage,
      ], swiftSettings: strict),
    .target(
      name: "Worker",
      dependencies: [
        "Scheduling", "Transport", "Wire", "ZeroMQ", "Threads", "Planning", "Checkpoint", "Digests", "Kernels", "Keys", "FileIO",
        "Monitoring", "Diagnostics", crypto, logging, systemPackage,
      ], swiftSettings: strict),
    .target(
      name: "Journal",
      dependencies: ["Planning", "Kernels", "FileIO", "Threads", "Diagnostics", "Digests", grdb, systemPackage],
      swiftSettings: strict),
    .target(
      name: "Transport", dependencies: ["Wire", "ZeroMQ", "Keys", "Diagnostics", "Threads", logging], swiftSettings: strict),
    // Optimised in debug builds too: the simulator runs it through thousands of seeds in every test run.
    .target(
      name: "Scheduling", dependencies: ["Wire", "Planning", "Digests", "Diagnostics"],
      swiftSettings: strict + [.unsafeFlags(["-O"])]),
    .target(name: "Monitoring", dependencies: ["Wire"], swiftSettings: strict),
    .target(name: "Wire", dependencies: ["Planning", "Digests", "Kernels", "Diagnostics"], swiftSettings: strict),
    .target(name: "Planning", dependencies: ["Checkpoint", "Digests", "Kernels", "Diagnostics", systemPackage], swiftSettings: strict),
    .target(
      name: "Checkpoint", dependencies: ["Diagnostics", "FileIO", systemPackage], swiftSettings: strict),
    .target(name: "Report", dependencies: ["Deltas", "Figures", "Diagnostics", "Kernels"], swiftSettings: strict),
    .target(name: "Deltas", dependencies: ["Checkpoint", "Kernels", "Figures", "Diagnostics"], swiftSettings: strict),
    .target(name: "Figures", swiftSettings: strict),
    .target(name: "Kernels", dependencies: ["CKernels"], swiftSettings: strict),
    .target(name: "Digests", dependencies: ["CXXHash"], swiftSettings: strict),
    .target(name: "FileIO", dependencies: ["Diagnostics", "CLinux", systemPackage], swiftSettings: strict),
    .target(name: "ZeroMQ", dependencies: ["Keys", "CZeroMQ", "CLinux", "CThreadSanitizer"], swiftSettings: strict),
    .target(name: "Keys", dependencies: ["FileIO", "Diagnostics", crypto, systemPackage], swiftSettings: strict),
    .target(name: "Threads", dependencies: ["CLinux", "CThreadSanitizer"], swiftSettings: strict),
    .target(name: "Diagnostics", swiftSettings: strict),
    // Optimised in debug builds too: an unoptimised loop is not the loop that is tested.
    .target(name: "CKernels", cSettings: [.unsafeFlags(["-O3"])]),
    .target(name: "CLinux"),
    // Only for builds with ThreadSanitizer; empty in others.
    .target(name: "CThreadSanitizer"),
    // No pkgConfig: Debian's flags for libzmq make SwiftPM warn.
    .systemLibrary(name: "CZeroMQ", providers: [.apt(["libzmq3-dev"])]),
    .target(name: "CXXHash", cSettings: [.unsafeFlags(["-O3"])]),

    .executableTarget(
      name: "scheduler-bench", dependencies: ["Scheduling", "Wire", "Planning", "Digests"],
      path: "Scripts/bench/scheduler", swiftSettings: strict),
    .executableTarget(
      name: "dealers-bench",
      dependencies: ["Scheduling", "Transport", "Wire", "ZeroMQ", "Threads", "Planning", "Kernels", "Digests", "Diagnostics"],
      path: "Scripts/bench/dealers", swiftSettings: strict),
    .executableTarget(
      name: "journal-bench",
      dependencies: ["Journal", "Planning", "Kernels", "FileIO", "Threads", "Diagnostics", "Digests", systemPackage],
      path: "Scripts/bench/journal", swiftSettings: strict),

    .target(
      name: "Simulation", dependencies: ["Scheduling", "Wire", "Planning", "Digests", "Diagnostics"],
      path: "Tests/Simulation", swiftSettings: strict + [.unsafeFlags(["-O"])]),
    .target(name: "TestSupport", dependencies: [systemPackage], path: "Tests/TestSupport", swiftSettings: strict),
    .testTarget(name: "ServiceManagerTests", dependencies: ["ServiceManager", "TestSupport"]),
    .testTarget(name: "MonitoringTests", dependencies: ["Monitoring", "Wire"]),
    .testTarget(name: "KernelsTests", dependencies: ["Kernels", "Digests"], resources: [.copy("Fixtures")]),
    .testTarget(
      name: "CheckpointTests", dependencies: ["Checkpoint", "TestSupport", systemPackage],
      resources: [.copy("Fixtures")]),
    .testTarget(name: "FileIOTests", dependencies: ["FileIO", "Kernels", "CLinux", "Diagnostics", "TestSupport", systemPackage]),
    .testTarget(name: "ZeroMQTests", dependencies: ["ZeroMQ", "Keys"]),
    .testTarget(name: "KeysTests", dependencies: ["Keys", "FileIO", "Diagnostics", "TestSupport", systemPackage]),
    .testTarget(
      name: "TransportTests", dependencies: ["Transport", "Wire", "ZeroMQ", "Keys", "Planning", "Kernels", "Digests", "Diagnostics", logging]),
    .testTarget(
      name: "WorkerTests",
      dependencies: ["Worker", "Transport", "Threads", "Planning", "Wire", "ZeroMQ", "TestSupport", systemPackage]),
    .testTarget(
      name: "JournalTests",
      dependencies: ["Journal", "Planning", "Kernels", "Threads", "Digests", "Diagnostics", "TestSupport", grdb, systemPackage]),
    .testTarget(name: "WireTests", dependencies: ["Wire"]),
    .testTarget(name: "SchedulingTests", dependencies: ["Scheduling", "Simulation"]),
    .testTarget(name: "PlanningTests", dependencies: ["Planning", systemPackage]),
    .testTarget(name: "RecipesTests", dependencies: ["Recipes", "Planning", "Checkpoint", "Diagnostics"]),
    .testTarget(name: "SearchTests", dependencies: ["Search", "Diagnostics"]),
    .testTarget(name: "ProcessesTests", dependencies: ["Processes", "Threads", "TestSupport", systemPackage]),
    .testTarget(name: "ReportTests", dependencies: ["Report", "Deltas", "Kernels", "Diagnostics"]),
    .testTarget(
      name: "MergeTests", dependencies: ["Coordinator", "Deltas", "Checkpoint", "SampleModels", "TestSupport", systemPackage],
      resources: [.copy("Fixtures")]),
    .target(name: "CTestSupport", path: "Tests/CTestSupport"),
    .target(
      name: "FuzzTargets", dependencies: ["Recipes", "Checkpoint", "Keys", "Wire", "Planning", "Diagnostics"], path: "Tests/FuzzTargets",
      swiftSettings: strict),
    .testTarget(name: "FuzzTests", dependencies: ["FuzzTargets"]),
    .testTarget(name: "CommandTests", dependencies: ["expomerge", "FileIO", "TestSupport", "CTestSupport", systemPackage]),
  ],
  swiftLanguageModes: [.v6]
)

// Only Scripts/fuzz builds them.
if Context.environment["EXPOMERGE_FUZZ"] != nil {
  package.targets += [
    .target(name: "CFuzz", path: "Tests/Fuzz/CFuzz"),
    .executableTarget(
      name: "fuzz", dependencies: ["CFuzz", "FuzzTargets"], path: "Tests/Fuzz/Fuzz",
      swiftSettings: strict + [.unsafeFlags(["-parse-as-library"])]),
  ]
}
