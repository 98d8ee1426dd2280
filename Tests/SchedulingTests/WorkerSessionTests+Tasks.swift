import Diagnostics
import Scheduling
import Testing
import Wire

extension WorkerSessionTests {
  // MARK: slots

  @Test("no more tasks run than there are slots", arguments: [1, 2, 5])
  func slots(count: Int) {
    var driver = WorkerDriver.active(slots: count)
    let tasks = driver.grant(0, 1, 2, 3, 4, 5, 6)
    #expect(driver.log.computing == Array(tasks.prefix(count)))
    let next = driver.handle(.computed(tasks[0])).computing
    #expect(next == [tasks[count]])
    #expect(driver.session.runningCount == count)
  }

  @Test("a task is computed when its inputs are there, not before")
  func staging() {
    var driver = WorkerDriver.active()
    let tasks = driver.grant(0, 1, staged: false)
    #expect(driver.log.computing.isEmpty)
    #expect(driver.handle(.staged(tasks[1])).computing == [tasks[1]])
    #expect(driver.handle(.staged(tasks[0])).computing.isEmpty)
    #expect(driver.handle(.computed(tasks[1])).computing == [tasks[0]])
  }

  @Test("a slot is free while a streamed output is on its way, and the task is still held")
  func delivering() {
    var driver = WorkerDriver.active()
    let tasks = driver.grant(0, 1)
    driver.handle(.computed(tasks[0]))
    #expect(driver.log.computing == tasks)
    driver.pass(milliseconds: 1000)
    #expect(driver.log.beats.last?.held.map(\.isRunning) == [true, true])
  }

  @Test("beats list what is held, what runs and how far it is")
  func heldInBeats() {
    var driver = WorkerDriver.active()
    let tasks = driver.grant(0, 1)
    driver.handle(.progress(tasks[0], bytes: 700))
    driver.handle(.progress(tasks[0], bytes: 300))
    driver.pass(milliseconds: 1000)
    #expect(driver.log.beats.last?.held == [
      .init(Attempt(shard: 0), progress: 700, isRunning: true), .init(Attempt(shard: 1), progress: 0, isRunning: false),
    ])
  }

  @Test("a lease that is granted twice is one task")
  func grantTwice() {
    var driver = WorkerDriver.active()
    #expect(driver.grant(0).count == 1)
    #expect(driver.grant(0).isEmpty)
    #expect(driver.session.taskCount == 1)
  }

  @Test("a lease of a job that was not answered is not taken, and the next beat says so at once")
  func unknownJob() {
    var driver = WorkerDriver.active()
    let commands = driver.hear(.grant(.init([Attempt(job: JobID(9), shard: 0, attempt: 1)])))
    #expect(commands.staged.isEmpty)
    #expect(commands.beats.map(\.held) == [[]])
  }

  // MARK: results

  @Test("a result is said again until it is acknowledged")
  func resent() {
    var driver = WorkerDriver.active()
    let task = driver.grant(4)[0]
    #expect(driver.finish(task).reported == [4])
    driver.pass(milliseconds: 1750)
    #expect(driver.log.reported == [4])
    driver.pass(milliseconds: 250)
    #expect(driver.log.reported == [4, 4])
    driver.pass(milliseconds: 4000)
    #expect(driver.log.reported == [4, 4, 4, 4])
    #expect(driver.held == [Attempt(shard: 4)])
    driver.hear(.acknowledge(.init([Attempt(shard: 4)])))
    driver.pass(milliseconds: 60_000)
    #expect(driver.log.reported == [4, 4, 4, 4])
    #expect(driver.held == [])
  }

  @Test("a failure is a result too: it frees the slot and is said until acknowledged")
  func failure() {
    var driver = WorkerDriver.active()
    let tasks = driver.grant(0, 1)
    let problem = Problem(.init("test"), "cannot be read")
    let commands = driver.handle(.failed(tasks[0], .input, input: .init(side: .sft, file: 3), problem))
    #expect(commands.sent == [
      .failed(.init(
        Attempt(shard: 0), cause: .input, input: .init(side: .sft, file: 3), problem: .init(problem)))
    ])
    #expect(commands.computing == [tasks[1]])
    driver.pass(milliseconds: 2000)
    #expect(driver.log.reported == [0, 0])
  }

  @Test("an acknowledgement of another attempt, or of a task that has no result yet, takes nothing away")
  func strangeAcknowledgement() {
    var driver = WorkerDriver.active()
    let task = driver.grant(0)[0]
    driver.hear(.acknowledge(.init([Attempt(shard: 0)])))
    #expect(driver.session.taskCount == 1)
    driver.finish(task)
    driver.hear(.acknowledge(.init([Attempt(shard: 0, attempt: 2)])))
    #expect(driver.session.taskCount == 1)
  }

  @Test("the result of an abandoned task is not said")
  func abandonedResult() {
    var driver = WorkerDriver.active()
    let task = driver.grant(0)[0]
    driver.hear(.revoke(.init([Attempt(shard: 0)])))
    #expect(driver.finish(task).reported.isEmpty)
  }

  // MARK: revocations

  @Test("a revoked lease is abandoned, and the beat that does not list it is sent at once")
  func revoke() {
    var driver = WorkerDriver.active()
    let tasks = driver.grant(0, 1)
    let commands = driver.hear(.revoke(.init([Attempt(shard: 1)])))
    #expect(commands.abandoned == [tasks[1]])
    #expect(commands.contains(.note(.revoked(Attempt(shard: 1)))))
    #expect(commands.beats.map { $0.held.map(\.key) } == [[Attempt(shard: 0)]])
  }

  @Test("a revoked lease that is not held is answered by a beat, so that the coordinator knows")
  func revokeUnknown() {
    var driver = WorkerDriver.active()
    #expect(driver.hear(.revoke(.init([Attempt(shard: 7)]))).beats.map(\.held) == [[]])
  }

  @Test("a slot whose task was revoked is free when the task has left it", arguments: ["left", "computed", "failed"])
  func revokedSlot(how: String) {
    var driver = WorkerDriver.active()
    let tasks = driver.grant(0, 1)
    #expect(driver.hear(.revoke(.init([Attempt(shard: 0)]))).computing.isEmpty)
    // It may have come to its end before it heard of it.
    let event: WorkerSession.Event =
      switch how {
      case "left": .left(tasks[0])
      case "computed": .computed(tasks[0])
      default: .failed(tasks[0], .other, input: nil, Problem(.init("test"), ""))
      }
    let commands = driver.handle(event)
    #expect(commands.computing == [tasks[1]])
    #expect(commands.reported.isEmpty)
  }

  @Test("a result that is revoked is not said again")
  func revokedResult() {
    var driver = WorkerDriver.active()
    driver.finish(driver.grant(0)[0])
    let commands = driver.hear(.revoke(.init([Attempt(shard: 0)])))
    #expect(commands.abandoned.isEmpty)
    driver.pass(milliseconds: 10_000)
    #expect(driver.log.reported == [0])
  }

  @Test("a task that its thread ended at the fence, before the session knew, is not held any more")
  func leftByFence() {
    var driver = WorkerDriver.active()
    let tasks = driver.grant(0, 1)
    let commands = driver.handle(.left(tasks[0]))
    #expect(commands.beats.map { $0.held.map(\.key) } == [[Attempt(shard: 1)]])
    #expect(commands.computing == [tasks[1]])
  }

  @Test("tasks of an ended session keep their slots until they have left them")
  func slotsAcrossSessions() {
    var driver = WorkerDriver.active()
    let old = driver.grant(0)[0]
    driver.hear(.rejected(.init(.session, "")))
    driver.pass(milliseconds: 500)
    driver.welcome()
    driver.offer()
    let new = driver.grant(0)[0]
    #expect(new != old)
    #expect(driver.log.computing == [old])
    driver.handle(.left(old))
    #expect(driver.log.computing == [old, new])
  }

  // MARK: draining

  @Test("a draining worker gives back what has not begun, finishes the rest, says goodbye and ends")
  func drain() {
    var driver = WorkerDriver.active()
    let tasks = driver.grant(0, 1, 2)
    let commands = driver.handle(.drain(reason: "SIGTERM"))
    #expect(commands.abandoned == [tasks[1], tasks[2]])
    #expect(commands.beats.map(\.isDraining) == [true])
    #expect(commands.beats[0].held.map(\.key) == [Attempt(shard: 0)])
    #expect(driver.grant(5).isEmpty)
    driver.finish(tasks[0])
    driver.pass(milliseconds: 500)
    #expect(!driver.log.contains(.end(.drained)), "the result is not safe yet")
    let last = driver.hear(.acknowledge(.init([Attempt(shard: 0)])))
    #expect(last.suffix(3) == [
      .send(.init(
        session: driver.session.session, epoch: WorkerDriver.epoch, message: .goodbye(.init(reason: "drained")))),
      .disconnect, .end(.drained),
    ])
    #expect(driver.tick().isEmpty)
  }

  @Test("the coordinator may ask for it, and a second request changes nothing")
  func drainByCoordinator() {
    var driver = WorkerDriver.active()
    driver.grant(0)
    #expect(driver.hear(.drain(.init())).contains(.note(.draining("asked by the coordinator", running: 1))))
    #expect(driver.hear(.drain(.init())).isEmpty)
  }

  @Test("an idle worker that is drained ends at once")
  func drainIdle() {
    var driver = WorkerDriver.active()
    #expect(driver.handle(.drain(reason: "SIGTERM")).last == .end(.drained))
  }

  @Test("a drained worker ends though no coordinator answers")
  func drainAlone() {
    var driver = WorkerDriver()
    driver.tick()
    let commands = driver.handle(.drain(reason: "SIGTERM"))
    #expect(commands.last == .end(.drained))
    #expect(commands.sent.isEmpty)
  }

  @Test("a draining worker whose coordinator falls silent ends at its fence, when its slots are free")
  func drainWithoutCoordinator() {
    var driver = WorkerDriver.active()
    let task = driver.grant(0)[0]
    driver.handle(.drain(reason: "SIGTERM"))
    driver.pass(milliseconds: 6000, answering: false)
    #expect(driver.log.abandoned == [task])
    #expect(!driver.log.contains(.end(.drained)))
    #expect(driver.handle(.left(task)).last == .end(.drained))
    #expect(driver.log.connections.isEmpty)
  }

  @Test("a draining worker looks at no new jobs")
  func drainOffers() {
    var driver = WorkerDriver.active()
    driver.grant(0)
    driver.handle(.drain(reason: "SIGTERM"))
    #expect(driver.hear(.job(WorkerDriver.offer(2))).isEmpty)
  }
}
