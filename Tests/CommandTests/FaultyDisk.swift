import Foundation
import SystemPackage
import TestSupport

/// A disk that fails when it is told to, for the processes that are started with its environment: calls on chosen files
/// give an error instead of what was asked for.
///
/// A file with the call's name switches it on, so that no test needs to time anything.
final class FaultyDisk: Sendable {
  enum Call: String {
    case pread, pwrite, fdatasync
  }

  private let control = TemporaryFolder()
  private let preload: Preload

  init() throws {
    preload = try Preload(Self.source, environment: ["FAULTS": control.path.string])
  }

  var environment: [String: String] { preload.environment }

  /// - Parameters:
  ///   - number: what errno becomes.
  ///   - files: a part of the paths of the files that it concerns.
  ///   - isOnce: whether only the next call fails.
  func fail(_ call: Call, _ number: Int32, on files: String, once isOnce: Bool = false) {
    // Whole at once, as somebody may be about to read it.
    control.write("\(number) \(isOnce ? "once" : "always") \(files)\n", to: "new")
    rename(control("new").string, control(call.rawValue).string)
  }

  /// Calls succeed again.
  func mend(_ call: Call) {
    unlink(control(call.rawValue).string)
  }

  /// Calls that failed, with the files that they were for.
  var failures: [String] {
    let log = TemporaryFolder.contents(control("log")) ?? []
    return String(decoding: log, as: UTF8.self).split(separator: "\n").map(String.init)
  }

  /// System calls are made directly, or they would come back here.
  private static let source = """
    #define _GNU_SOURCE
    #include <errno.h>
    #include <fcntl.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <string.h>
    #include <sys/syscall.h>
    #include <sys/types.h>
    #include <unistd.h>

    static int fails(const char *call, int fd) {
      const char *folder = getenv("FAULTS");
      char control[4096], link[64], name[4096] = "", rule[512] = "", when[16], files[256];
      int number, kept = errno;
      snprintf(control, sizeof control, "%s/%s", folder, call);
      int file = syscall(SYS_openat, AT_FDCWD, control, O_RDONLY | O_CLOEXEC);
      errno = kept;
      if (file < 0) return 0;
      if (read(file, rule, sizeof rule - 1) < 0) rule[0] = 0;
      close(file);
      snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
      int isOurs = sscanf(rule, "%d %15s %255s", &number, when, files) == 3
        && readlink(link, name, sizeof name - 1) > 0 && strstr(name, files);
      // Of several threads one removes it, and that one fails.
      if (!isOurs || (strcmp(when, "once") == 0 && unlink(control) != 0)) {
        errno = kept;
        return 0;
      }
      snprintf(control, sizeof control, "%s/log", folder);
      int log = open(control, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
      dprintf(log, "%s %s\\n", call, name);
      close(log);
      errno = number;
      return 1;
    }

    ssize_t pread(int fd, void *buffer, size_t count, off_t offset) {
      return fails("pread", fd) ? -1 : syscall(SYS_pread64, fd, buffer, count, offset);
    }
    ssize_t pread64(int fd, void *buffer, size_t count, off_t offset) { return pread(fd, buffer, count, offset); }
    ssize_t pwrite(int fd, const void *buffer, size_t count, off_t offset) {
      return fails("pwrite", fd) ? -1 : syscall(SYS_pwrite64, fd, buffer, count, offset);
    }
    ssize_t pwrite64(int fd, const void *buffer, size_t count, off_t offset) { return pwrite(fd, buffer, count, offset); }
    int fdatasync(int fd) { return fails("fdatasync", fd) ? -1 : syscall(SYS_fdatasync, fd); }
    int fsync(int fd) { return fails("fdatasync", fd) ? -1 : syscall(SYS_fsync, fd); }
    """
}
