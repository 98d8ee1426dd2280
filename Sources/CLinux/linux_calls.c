#define _GNU_SOURCE
#include "linux_calls.h"

#include <fcntl.h>
#include <malloc.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
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
