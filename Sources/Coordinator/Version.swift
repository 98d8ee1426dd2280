/// The version of expomerge.
public let expomergeVersion = "0.1.0"
