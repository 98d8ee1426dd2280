import Checkpoint
import Diagnostics
import FileIO

extension Failure {
  /// Whether it may pass by itself: what is not there may yet be mounted, and a server that fails may come back. What is
  /// there and wrong stays wrong.
  var mayPass: Bool {
    switch category {
    case .inputNotFound, .inputOutput, .notPermitted, .cannotCreate: problems.allSatisfy { Self.passing.contains($0.code) }
    default: false
    }
  }

  /// Not those of a failed sync, which is never tried again.
  private static let passing: Set<Problem.Code> = [
    .fileNotFound, .checkpointMissing, .checkpointFileMissing, .permissionDenied, .readFailed, .writeFailed,
    .systemCallFailed,
  ]
}
