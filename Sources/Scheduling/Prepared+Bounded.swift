import Wire

extension WorkerMessage.Prepared {
  /// Notes that are kept, shown and logged: one for each file of a checkpoint would be a lot, and they are alike.
  static let notesKept = 10

  /// Without what a worker may say and nobody needs: it is kept for as long as the session.
  var bounded: WorkerMessage.Prepared {
    var bounded = self
    if notes.count > Self.notesKept { bounded.notes = Array(notes.prefix(Self.notesKept)) }
    if refusal != nil { (bounded.aligned, bounded.sft) = ([], []) }
    return bounded
  }
}
