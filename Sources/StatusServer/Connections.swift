import NIOCore
import Synchronization

/// Hangs up on connections that are too many, or take too long.
final class Connections: Sendable {
  private struct State {
    var table: ConnectionTable<ObjectIdentifier>
    var channels: [ObjectIdentifier: any Channel] = [:]
  }

  private let state: Mutex<State>

  init(limit: Int, patience: Duration) {
    state = Mutex(State(table: ConnectionTable(limit: limit, patience: patience)))
  }

  func add(_ channel: any Channel) {
    let last = state.withLock { state in
      state.channels[ObjectIdentifier(channel)] = channel
      return state.table.add(ObjectIdentifier(channel), at: .now).flatMap { state.channels.removeValue(forKey: $0) }
    }
    last?.close(promise: nil)
  }

  func turn(_ channel: any Channel, isAnswering: Bool) {
    state.withLock { $0.table.turn(ObjectIdentifier(channel), isAnswering: isAnswering, at: .now) }
  }

  func remove(_ channel: any Channel) {
    state.withLock { state in
      state.table.remove(ObjectIdentifier(channel))
      state.channels[ObjectIdentifier(channel)] = nil
    }
  }

  func closeOverdue() {
    let overdue = state.withLock { state in state.table.overdue(at: .now).compactMap { state.channels[$0] } }
    for channel in overdue { channel.close(promise: nil) }
  }
}
