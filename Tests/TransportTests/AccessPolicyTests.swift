import Digests
import Diagnostics
import Keys
import Kernels
import Planning
import Testing
import Wire

@testable import Transport

@Suite struct AccessPolicyTests {
  enum Kind: CaseIterable {
    case worker, status, submit, verify, cancel, resume, drain
  }

  /// Who may do what: all of it.
  static let table: [(Kind, Set<Role>)] = [
    (.worker, [.worker]), (.status, [.operator, .viewer]), (.submit, [.operator]), (.verify, [.operator]),
    (.cancel, [.operator]), (.resume, [.operator]), (.drain, [.operator]),
  ]

  static func messages(_ kind: Kind) -> [Inbound] {
    func client(_ request: ClientRequest) -> [Inbound] { [.client(request, request: 1)] }
    switch kind {
    case .worker:
      let key = Attempt(job: JobID(1), shard: 0, attempt: 1)
      let zero = Digest128(high: 0, low: 0)
      let said: [WorkerMessage] = [
        .hello(.init(name: "w", host: "h", process: 1, slots: 1, version: "1", level: "portable")),
        .beat(.init(number: 1, seen: 0, isDraining: false, jobs: [], held: [])),
        .prepared(.init(job: JobID(1), aligned: [], sft: [], output: .direct)),
        .finished(.init(key, digests: [zero], milliseconds: 1, segments: [])),
        .failed(.init(key, cause: .other, input: nil, problem: .init(Problem(.init("x"), "x")))),
        .goodbye(.init(reason: "")),
      ]
      return said.map { .worker(WorkerEnvelope(session: SessionID(1), epoch: 1, message: $0)) }
    case .status: return client(.status(.init()))
    case .submit:
      return client(.submit(.init(aligned: "/a", sft: "/s", output: "/o", recipe: Recipe(alpha: 0.3))))
    case .verify: return client(.verify(.init(folder: "/o")))
    case .cancel: return client(.cancel(.init(job: JobID(1))))
    case .resume: return client(.resume(.init(job: JobID(1))))
    case .drain: return client(.drainWorker(.init(worker: "w")))
    }
  }

  @Test("each role may do what the table says, and nothing else", arguments: Role.allCases)
  func table(role: Role) {
    #expect(Self.table.map(\.0) == Kind.allCases)
    for (kind, roles) in Self.table {
      for message in Self.messages(kind) {
        #expect(AccessPolicy.allows(message, [role]) == roles.contains(role), "\(role) \(kind)")
        #expect(!AccessPolicy.allows(message, []))
        #expect(AccessPolicy.allows(message, Set(Role.allCases)))
      }
    }
    #expect(AccessPolicy.allowsData([role]) == (role == .worker))
  }
}
