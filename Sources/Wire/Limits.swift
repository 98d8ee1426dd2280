/// What no message may exceed.
public enum Limits {
  /// Bytes of a control message, or of the JSON of a data message.
  public static let controlBytes = 16 << 20
  public static let dataHeaderBytes = 64 << 10
  /// Bytes of file data in one message.
  public static let chunkBytes = 4 << 20
  /// Bytes of a job's description.
  public static let descriptionBytes = 256 << 20
  public static let nameBytes = 255
  public static let pathBytes = 4096
  /// Of the command that a model card shows.
  public static let commandBytes = 64 << 10
  /// Of a problem's text; what is longer is cut.
  public static let textCharacters = 4096
  public static let slots = 1024
  /// Leases of one worker.
  public static let leases = 4 * slots
  public static let jobs = 10_000
  public static let notes = 1000
}
