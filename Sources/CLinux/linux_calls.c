#define _GNU_SOURCE
#include "linux_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <malloc.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

int linux_start_writeback(int descriptor, int64_t offset, int64_t count) {
  return sync_file_range(descriptor, offset, count, SYNC_FILE_RANGE_WRITE);
}

int linux_fallocate(int descriptor, int mode, int64_t offset, int64_t count) {
  return fallocate(descriptor, mode, offset, count);
}

int linux_statfs(const char *path, uint32_t *type, uint64_t *available_blocks, uint64_t *block_size) {
  struct statfs info;
  if (statfs(path, &info) != 0) return -1;
  *type = (uint32_t)info.f_type;
  *available_blocks = info.f_bavail;
  *block_size = (uint64_t)(info.f_frsize > 0 ? info.f_frsize : info.f_bsize);
  return 0;
}

int linux_lock(int descriptor) {
  struct flock lock;
  memset(&lock, 0, sizeof lock);
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return fcntl(descriptor, F_OFD_SETLK, &lock);
}

int linux_exchange(const char *one, const char *other) {
  return renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE);
}

// By where the kernel says that it is.
static int look(int folder, const char *path, int flags, unsigned mode) {
  char link[64], root[4096], found[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
  ssize_t length = readlink(link, root, sizeof root - 1);
  if (length < 0) return -1;
  root[length] = 0;
  // Neither made nor emptied before it is known where it lies.
  int descriptor = openat(folder, path, flags & ~(O_CREAT | O_TRUNC), mode);
  if (descriptor < 0 && errno == ENOENT && flags & O_CREAT) return openat(folder, path, flags | O_EXCL | O_NOFOLLOW, mode);
  if (descriptor < 0) return -1;
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  ssize_t count = readlink(link, found, sizeof found - 1);
  int is_whole_tree = strcmp(root, "/") == 0;
  int is_beneath = count >= length && memcmp(found, root, length) == 0 && (is_whole_tree || count == length || found[length] == '/');
  if (!is_beneath || (flags & O_TRUNC && ftruncate(descriptor, 0) != 0)) {
    int number = is_beneath ? errno : EXDEV;
    close(descriptor);
    errno = number;
    return -1;
  }
  return descriptor;
}

static int closing(int folder, int descriptor) {
  int number = errno;
  close(folder);
  errno = number;
  return descriptor;
}

int linux_open_and_look(const char *root, const char *path, int flags, unsigned mode) {
  int folder = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
  return folder < 0 ? -1 : closing(folder, look(folder, path, flags, mode));
}

int linux_open_beneath(const char *root, const char *path, int flags, unsigned mode) {
  int folder = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return -1;
  struct open_how how;
  memset(&how, 0, sizeof how);
  how.flags = (unsigned)flags;
  how.mode = flags & O_CREAT ? mode & 07777 : 0;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  int descriptor;
  do {
    descriptor = (int)syscall(SYS_openat2, folder, path, &how, sizeof how);
    // EAGAIN: something was renamed meanwhile.
  } while (descriptor < 0 && (errno == EINTR || errno == EAGAIN));
  // Some sandboxes answer unknown calls with EPERM.
  if (descriptor < 0 && (errno == ENOSYS || errno == EPERM)) descriptor = look(folder, path, flags, mode);
  return closing(folder, descriptor);
}

int linux_available_cpus(void) {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 0;
}

int linux_is_mount_point(const char *path) {
  struct statx info;
  if (statx(AT_FDCWD, path, AT_STATX_SYNC_AS_STAT, STATX_TYPE, &info) != 0) return 0;
  return (info.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

void linux_raise_descriptor_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

uint64_t linux_socket_cookie(int descriptor) {
  uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  return getsockopt(descriptor, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0 ? cookie : 0;
}

int64_t linux_tcp_bytes_read(int descriptor) {
  struct tcp_info info;
  socklen_t size = sizeof info;
  int waiting;
  // In this order the difference is never negative.
  if (ioctl(descriptor, SIOCINQ, &waiting) != 0) return -1;
  if (getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return -1;
  if (size < offsetof(struct tcp_info, tcpi_bytes_received) + sizeof info.tcpi_bytes_received) return -1;
  return (int64_t)info.tcpi_bytes_received - waiting;
}

int linux_peer_address(int descriptor, char *text, size_t count) {
  struct sockaddr_storage address;
  socklen_t size = sizeof address;
  if (getpeername(descriptor, (struct sockaddr *)&address, &size) != 0) return -1;
  return getnameinfo((struct sockaddr *)&address, size, text, (socklen_t)count, NULL, 0, NI_NUMERICHOST) == 0 ? 0 : -1;
}

int linux_duplicate(int descriptor) {
  return fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
}

int linux_eventfd(void) {
  return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
}

void linux_name_thread(const char *name) {
  pthread_setname_np(pthread_self(), name);
}

void linux_keep_freed_memory(void) {
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 256 << 20);
}
