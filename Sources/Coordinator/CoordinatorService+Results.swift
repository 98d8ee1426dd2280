import Diagnostics
import Digests
import FileIO
import Journal
import Logging
import Planning
import Scheduling
import Synchronization
import SystemPackage
import Threads
import Wire
import Worker
import ZeroMQ

/// What workers have done: checked, kept, and read back.
extension CoordinatorService {
  /// Checks a result against the plan and against what was received, and keeps it.
  func commit(_ finished: WorkerMessage.Finished, from session: SessionID, keeps: Bool) {
    let key = finished.key
    guard let source = jobs[key.job]?.source else { return tell(.refused(key, Problem(.dataRefused, "the job is over"))) }
    let plan = source.plan
    let shard = plan.shard(key.shard)
    let segments = finished.segments.map {
      ShardResult.SegmentResult(pair: $0.pair, sums: $0.sums, others: $0.others ?? [], differingBytes: $0.differingBytes)
    }
    let result = ShardResult(shard: key.shard, digests: finished.digests, segments: segments)
    guard plan.accepts(result) else {
      return tell(.refused(key, Problem(.resultInvalid, "the result is not that of the shard's segments")))
    }
    if let verification = jobs[key.job]?.verification {
      return keeps ? prove(finished, of: verification, from: session) : tell(.committed(key))
    }
    guard let merge = jobs[key.job]?.merge else { return }
    if scheduler.output(of: session, for: key.job) == .streamed {
      let received = dataServer.assumeIsolated { $0.digest(of: key) }
      guard received == result.digest else {
        return tell(
          .refused(
            key,
            Problem(
              .shardDiffers,
              received == nil ? "the result came before all of the bytes" : "the bytes that were received are not those that were digested",
              file: merge.files[shard.file].path.string, byte: shard.range.lowerBound)))
      }
    }
    guard keeps else { return tell(.committed(key)) }
    let name = scheduler.name(of: session) ?? ""
    merge.journal.record(finished, bytes: plan.outputBytes(of: shard), worker: name) { [loop] outcome in
      loop.perform { self.assumeIsolated { $0.recorded(key, result, outcome, of: merge, from: session) } }
    }
  }

  /// A result is in the journal, or cannot be.
  private func recorded(
    _ key: Attempt, _ result: ShardResult, _ outcome: Result<Void, Failure>, of merge: PreparedMerge,
    from session: SessionID
  ) {
    guard jobs[key.job]?.merge === merge else { return }
    switch outcome {
    case .success:
      let shard = merge.plan.shard(key.shard)
      merge.results.set(result, at: key.shard)
      let bytes = merge.plan.outputBytes(of: shard)
      workers[session]?.meter.add(bytes, at: Self.now)
      history.shardDone(bytes: bytes, at: Self.now)
      didFinish(key.job, shard)
      tell(.committed(key))
    case .failure(let failure):
      journalFailed(failure)
      tell(.refused(key, failure.problems[0]))
    }
  }

  /// One more shard is in the output.
  func didFinish(_ id: JobID, _ shard: Plan.Shard) {
    let bytes = jobs[id]?.source?.plan.outputBytes(of: shard) ?? 0
    jobs[id]?.meter.add(bytes, at: Self.now)
    jobs[id]?.files[shard.file].done += 1
    jobs[id]?.context.progress.add(bytes)
    if let name = jobs[id]?.files[shard.file].name { jobs[id]?.context.progress.workingOn(name) }
  }

  /// A shard of an earlier life was read back.
  func checked(_ id: JobID, _ number: Int, _ matches: Bool) {
    if let verification = jobs[id]?.verification { return checked(id, number, matches, of: verification) }
    guard let merge = jobs[id]?.merge else { return }
    if matches {
      didFinish(id, merge.plan.shard(number))
    } else {
      merge.differing.wrappingAdd(1, ordering: .relaxed)
    }
  }

  /// Reads a shard back that no worker can, or that two may have written to.
  func readBack(_ id: JobID, _ number: Int, _ expected: Digest128) {
    guard let job = jobs[id], let source = job.source, let files = job.merge?.files ?? job.verification?.files else { return }
    let shard = source.plan.shard(number)
    logger.debug("job \(id) shard \(number) is read back")
    jobThreads.submit { [self] in
      var digest: Digest128?
      var isUnread = false
      do throws(Failure) {
        digest = try source.plan.digest(of: shard, in: files)
      } catch {
        logger.error("job \(id): \(error)")
        // A merge computes it again; what is proved has a problem of its own.
        job.verification?.add(error.problems[0])
        isUnread = job.verification != nil
      }
      loop.perform { [digest, isUnread] in
        self.assumeIsolated { service in
          // The job may be over, or another life of it be running.
          guard service.jobs[id]?.source === source else { return }
          service.tell(.verified(id, shard: number, matches: digest == expected || isUnread))
        }
      }
    }
  }

  /// A shard that had counted does not any more.
  func uncount(_ id: JobID, _ number: Int) {
    guard let merge = jobs[id]?.merge else { return }
    let shard = merge.plan.shard(number)
    jobs[id]?.files[shard.file].done -= 1
    jobs[id]?.context.progress.add(-merge.plan.outputBytes(of: shard))
  }

  /// Reads an output file for its SHA-256.
  func sum(_ id: JobID, _ file: Int) {
    guard let merge = jobs[id]?.merge, let cancellation = jobs[id]?.context.cancellation else { return }
    jobThreads.submit { [self] in
      var sha256: String?
      do throws(Failure) {
        sha256 = try merge.files[file].sha256(of: 0..<merge.plan.outputs[file].size, mayContinue: { !cancellation.isCancelled })
      } catch {
        logger.error("job \(id): \(error)")
      }
      loop.perform { [sha256] in self.assumeIsolated { $0.tell(.summed(id, file: file, sha256: sha256)) } }
    }
  }

  func summed(_ id: JobID, _ file: Int, _ sha256: String) {
    guard let job = jobs[id], let merge = job.merge else { return }
    merge.sums.set(sha256, at: file)
    job.context.progress.add(merge.plan.outputs[file].size)
  }
}
