import Checkpoint
public import Diagnostics
import Digests
import FileIO
import Planning
import SystemPackage
import Wire

extension Problem.Code {
  public static let staleCopy = Self("stale-copy")
}

/// How a worker reaches the files of one job: what it can open itself, and what is streamed.
struct JobFiles: Sendable {
  let plan: Plan
  let purpose: CoordinatorMessage.JobOffer.Purpose
  let aligned: InputFiles
  let sft: InputFiles
  /// Those of the plan's `outputs`; nil where they cannot be reached from here.
  let output: [File]?
  let prepared: WorkerMessage.Prepared
  /// Whether the output lies on a network filesystem, where others see what was written only once it has left.
  let outputIsRemote: Bool
  let executors = ExecutorCache()

  /// Tries all files of an offer under the worker's roots.
  ///
  /// Blocks; reads a megabyte of each input file.
  init(_ offer: CoordinatorMessage.JobOffer, plan: Plan, roots: Roots, method: ReadMethod?, calls: SystemCalls) {
    let calls = calls.confined(to: roots.confinement)
    var prepared = WorkerMessage.Prepared(job: offer.job)
    func open(_ side: Side, _ checkpoint: Checkpoint) -> InputFiles {
      var opened: [File?] = []
      var isRemote = false
      var notes: [Problem] = []
      for (index, expected) in offer[side].files.enumerated() {
        let path = FilePath(offer[side].folder).appending(expected.name)
        let (file, note) = Self.open(
          path, expected, checkpoint.files[index], roots, calls)
        if let note { notes.append(note) }
        if let file, FileSystemKind(at: file.path)?.isRemote == true { isRemote = true }
        opened.append(file)
      }
      prepared.notes += Self.summary(notes)
      return InputFiles(of: checkpoint, opened: opened, method: method, isRemote: isRemote)
    }
    self.plan = plan
    purpose = offer.purpose
    aligned = open(.aligned, plan.aligned)
    sft = open(.sft, plan.sft)
    prepared.aligned = aligned.opened.map { $0 == nil ? .streamed : .direct }
    prepared.sft = sft.opened.map { $0 == nil ? .streamed : .direct }
    prepared.notes = Array(prepared.notes.prefix(Limits.notes - 1))
    switch Self.openOutput(offer, plan, roots, calls) {
    case .success(let files):
      output = files
      prepared.output = .direct
    case .failure(let note):
      output = nil
      prepared.output = .streamed
      if let problem = note.problem { prepared.notes.append(ProblemReport(problem)) }
    }
    outputIsRemote = output?.first.flatMap { FileSystemKind(at: $0.path)?.isRemote } ?? false
    self.prepared = prepared
  }

  /// The file if it is the one that was fingerprinted, and else why one might have expected it to be.
  private static func open(
    _ path: FilePath, _ expected: InputFingerprint, _ weightFile: Checkpoint.WeightFile, _ roots: Roots,
    _ calls: SystemCalls
  ) -> (File?, Problem?) {
    let found: FilePath
    switch roots.find(path) {
    case .found(let path): found = path
    case .missing: return (nil, nil)
    case .outside(let path): return (nil, outside(path))
    }
    func stale(_ what: String) -> Problem {
      Problem(
        .staleCopy, "is not the coordinator's \(path.string): \(what); it is streamed instead", file: found.string,
        remedy: "copy the file again, or remove it")
    }
    do throws(Failure) {
      let file = try File.open(found, calls: calls)
      let size = try file.status().size
      guard size == expected.bytes else { return (nil, stale("it has \(size) bytes instead of \(expected.bytes)")) }
      let fingerprint = try InputFingerprint(of: file, as: weightFile)
      guard fingerprint.header == expected.header else { return (nil, stale("its header differs")) }
      guard fingerprint.pages == expected.pages else {
        return (nil, stale("tensors have the same shapes but other contents"))
      }
      file.willReadInOrder()
      return (file, nil)
    } catch {
      return (nil, error.problems[0])
    }
  }

  /// One note of each kind, with the number of files that it stands for.
  private static func summary(_ notes: [Problem]) -> [ProblemReport] {
    var summary: [(note: Problem, count: Int)] = []
    for note in notes {
      if let index = summary.firstIndex(where: { $0.note.code == note.code }) {
        summary[index].count += 1
      } else {
        summary.append((note, 1))
      }
    }
    return summary.map { entry in
      var note = entry.note
      if entry.count > 1 { note.message += " (and so \(entry.count - 1) more files of the folder)" }
      return ProblemReport(note)
    }
  }

  private static func outside(_ path: FilePath) -> Problem {
    Problem(
      .outsideRoots, "is there, but not under a --root of this worker; it is streamed instead", file: path.string,
      remedy: "start the worker with --root \(path.removingLastComponent().string)")
  }

  private struct OutputNote: Error {
    let problem: Problem?
  }

  private static func openOutput(
    _ offer: CoordinatorMessage.JobOffer, _ plan: Plan, _ roots: Roots, _ calls: SystemCalls
  ) -> Result<[File], OutputNote> {
    let output = offer.output
    let folder: FilePath
    switch roots.find(FilePath(output.folder)) {
    case .found(let path): folder = path
    case .missing: return .failure(OutputNote(problem: nil))
    case .outside(let path): return .failure(OutputNote(problem: outside(path)))
    }
    do throws(Failure) {
      let nonceFile = folder.pushing(FilePath(output.nonceFile))
      let nonce =
        switch offer.purpose {
        case .merge: try File.contents(of: nonceFile, limit: Limits.nameBytes, calls: calls)
        case .verify: Array(try File.digest(of: nonceFile, calls: calls).description.utf8)
        }
      // Another folder of that name.
      guard nonce == Array(output.nonce.utf8) else { return .failure(OutputNote(problem: nil)) }
      var files: [File] = []
      for planned in plan.outputs {
        let path = folder.pushing(FilePath(planned.path))
        let file = offer.purpose == .merge ? try File.openForUpdate(path, calls: calls) : try File.open(path, calls: calls)
        guard try file.status().size == planned.size else { return .failure(OutputNote(problem: nil)) }
        files.append(file)
      }
      return .success(files)
    } catch {
      let isMissing = error.problems[0].code == .fileNotFound
      return .failure(OutputNote(problem: isMissing ? nil : error.problems[0]))
    }
  }
}
