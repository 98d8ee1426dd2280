import Diagnostics
import Digests
import Planning

extension WorkerMessage {
  /// Values that later code counts on.
  func check() throws(WireError) {
    switch self {
    case .hello(let hello):
      try require((1...Limits.slots).contains(hello.slots), "slots")
      for text in [hello.name, hello.host, hello.version, hello.level] {
        try require(text.utf8.count <= Limits.nameBytes, "the length of a name")
        try require(isPrintable(text), "a character of a name")
      }
      try require(!hello.name.isEmpty, "the name")
    case .beat(let beat):
      try require(beat.number > 0 && beat.seen >= 0, "number")
      try require(beat.held.count <= Limits.leases && beat.jobs.count <= Limits.jobs, "the length of a list")
      try require(beat.held.allSatisfy { $0.progress >= 0 }, "progress")
    case .prepared(let prepared):
      try require(prepared.notes.count <= Limits.notes, "the number of notes")
    case .finished(let finished):
      try require((0..<1 << 40).contains(finished.milliseconds), "milliseconds")
      if let variants = finished.variants {
        try require((2...Recipe.alphaLimit).contains(variants.count), "the number of variants")
        try require(Digest128(combining: variants) == finished.digest, "digest")
      }
      if let sha256 = finished.sha256 {
        let isHexadecimal = sha256.utf8.allSatisfy { (48...57).contains($0) || (97...102).contains($0) }
        try require(sha256.utf8.count == 64 && isHexadecimal, "sha256")
      }
    case .goodbye(let goodbye):
      try require(goodbye.reason.utf8.count <= Limits.pathBytes, "the length of the reason")
    case .failed: break
    }
  }
}

extension CoordinatorMessage {
  func check() throws(WireError) {
    switch self {
    case .welcome(let welcome):
      try require((1...3_600_000).contains(welcome.beatMilliseconds), "beatMilliseconds")
      try require((welcome.beatMilliseconds...86_400_000).contains(welcome.leaseMilliseconds), "leaseMilliseconds")
      try require((0...65535).contains(welcome.dataPort), "dataPort")
      try require((Limits.chunkBytes...1 << 40).contains(welcome.window), "window")
    case .job(let offer):
      try require((1...Limits.descriptionBytes).contains(offer.descriptionBytes), "descriptionBytes")
      for path in [offer.aligned.folder, offer.sft.folder, offer.output.folder, offer.output.nonceFile] {
        try require(path.utf8.count <= Limits.pathBytes && !path.utf8.contains(0), "a path")
      }
      for file in offer.aligned.files + offer.sft.files {
        try require((0..<1 << 60).contains(file.bytes), "the size of an input file")
        try require(
          !file.name.isEmpty && file.name != "." && file.name != ".." && !file.name.utf8.contains(0)
            && !file.name.utf8.contains(UInt8(ascii: "/")), "the name of an input file")
      }
      try require(offer.output.nonce.utf8.count <= Limits.nameBytes, "nonce")
    case .grant(let leases), .check(let leases), .sum(let leases), .acknowledge(let leases), .revoke(let leases):
      try require(leases.leases.count <= Limits.leases, "the number of leases")
      try require(leases.leases.allSatisfy { $0.shard >= 0 && $0.attempt > 0 }, "a lease")
    case .rejected, .forget, .drain, .beat: break
    }
  }
}

extension ClientRequest {
  func check() throws(WireError) {
    switch self {
    case .submit(let submission):
      for path in [submission.aligned, submission.sft, submission.output] {
        try require(path.utf8.count <= Limits.pathBytes && !path.utf8.contains(0), "a path")
      }
      try require(submission.command.utf8.count <= Limits.commandBytes, "the length of the command")
    case .verify(let verify):
      for path in [verify.folder, verify.aligned, verify.sft].compactMap({ $0 }) {
        try require(path.utf8.count <= Limits.pathBytes && !path.utf8.contains(0), "a path")
      }
      try require(verify.sample.map { $0 > 0 } ?? true, "sample")
    case .drainWorker(let drain):
      try require(drain.worker.utf8.count <= Limits.nameBytes, "the length of a name")
    case .status, .cancel, .resume: break
    }
  }
}
