import Checkpoint
import Diagnostics
import FileIO
import Planning
import Scheduling
import SystemPackage
import Wire
import Worker

/// What workers need to compute a job's shards: the plan, the inputs, and how they are told of both.
final class JobSource: Sendable {
  let plan: Plan
  private let inputs: [Side: InputFiles]
  private let folders: [Side: FilePath]
  private let fingerprints: [Side: [InputFingerprint]]
  /// Of recipe and headers, for workers to plan by.
  let description: [UInt8]
  let stretches: [Scheduler.JobSpecification.Stretch]

  /// Opens the inputs and reads what tells them from others.
  ///
  /// Blocks.
  init(_ plan: Plan, method: ReadMethod?, calls: SystemCalls) throws(Failure) {
    self.plan = plan
    try DescriptorLimit.require(plan.aligned.files.count + plan.sft.files.count + plan.outputs.count)
    let aligned = try InputFiles(of: plan.aligned, method: method, calls: calls)
    let sft = try InputFiles(of: plan.sft, method: method, calls: calls)
    inputs = [.aligned: aligned, .sft: sft]
    folders = [
      .aligned: try Directories.live.resolve(plan.aligned.folder), .sft: try Directories.live.resolve(plan.sft.folder),
    ]
    fingerprints = [
      .aligned: try InputFingerprint.all(plan.aligned, aligned),
      .sft: try InputFingerprint.all(plan.sft, sft),
    ]
    description = JobDescription(plan).encoded()
    guard description.count <= Limits.descriptionBytes else {
      throw Failure(
        .badData,
        Problem(
          .tooManyTensors, "the description of the job takes \(description.count) bytes", file: plan.aligned.folder.string))
    }
    stretches = plan.stretches()
  }

  func files(_ side: Side) -> InputFiles { inputs[side]! }
  /// Without links.
  func folder(_ side: Side) -> FilePath { folders[side]! }
  func fingerprints(_ side: Side) -> [InputFingerprint] { fingerprints[side]! }

  /// An input file that is streamed; nil where there is none, as the description is none.
  func file(_ source: DataMessage.Source, _ index: Int) -> File? {
    let side: Side? =
      switch source {
      case .aligned: .aligned
      case .sft: .sft
      case .description: nil
      }
    guard let files = side.map({ files($0).files }), files.indices.contains(index) else { return nil }
    return files[index]
  }

  func offer(
    _ job: JobID, _ purpose: CoordinatorMessage.JobOffer.Purpose, output: CoordinatorMessage.JobOffer.Output
  ) -> CoordinatorMessage.JobOffer {
    .init(
      job: job, purpose: purpose, plan: plan.fingerprint, descriptionBytes: description.count,
      aligned: .init(folder: folder(.aligned).string, files: fingerprints(.aligned)),
      sft: .init(folder: folder(.sft).string, files: fingerprints(.sft)), output: output)
  }
}

extension Problem.Code {
  static let tooManyTensors = Self("too-many-tensors")
}
