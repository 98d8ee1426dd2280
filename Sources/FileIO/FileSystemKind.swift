import CLinux
public import SystemPackage

/// What sort of filesystem a path lies on; statfs(2).
public struct FileSystemKind: Sendable, Equatable {
  /// Whether its pages come over a network or from a user process, so that faulting them in one by one is slow.
  public let isRemote: Bool
  /// Whether it is gone when the machine restarts.
  public let isInMemory: Bool
  /// As in `NFS`; the type's number where it is none of those known here.
  public let name: String
  /// Bytes that an ordinary user can still write.
  public let availableBytes: Int

  /// nil where the path cannot be looked at.
  public init?(at path: FilePath) {
    var type: UInt32 = 0
    var blocks: UInt64 = 0
    var blockSize: UInt64 = 0
    guard path.withPlatformString({ linux_statfs($0, &type, &blocks, &blockSize) }) == 0 else { return nil }
    isRemote = Self.remoteTypes[type] != nil
    isInMemory = Self.memoryTypes[type] != nil
    name = Self.remoteTypes[type] ?? Self.memoryTypes[type] ?? Self.localTypes[type] ?? "type 0x" + String(type, radix: 16)
    let (bytes, overflow) = blocks.multipliedReportingOverflow(by: blockSize)
    availableBytes = overflow ? .max : Int(clamping: bytes)
  }

  /// Magic numbers of linux/magic.h and of the filesystems' own sources.
  private static let remoteTypes: [UInt32: String] = [
    0x6969: "NFS", 0x517B: "SMB", 0xFE53_4D42: "SMB2", 0xFF53_4D42: "CIFS", 0x00C3_6400: "Ceph", 0x0BD0_0BD0: "Lustre",
    0x4750_4653: "GPFS", 0x1983_0326: "BeeGFS", 0x0102_1997: "9P", 0x6573_5546: "FUSE", 0x7461_636F: "OCFS2",
    0x0116_1970: "GFS2", 0x5346_414F: "AFS",
  ]

  private static let memoryTypes: [UInt32: String] = [0x0102_1994: "tmpfs", 0x8584_58F6: "ramfs"]

  private static let localTypes: [UInt32: String] = [
    0xEF53: "ext2/ext3/ext4", 0x5846_5342: "XFS", 0x9123_683E: "Btrfs", 0xF2F5_2010: "F2FS", 0x2FC1_2FC1: "ZFS", 0xCA45_1A4E: "bcachefs",
    0x794C_7630: "overlayfs",
  ]
}
