// System calls and constants of Linux that Swift's Glibc module leaves out.
#ifndef LINUX_CALLS_H
#define LINUX_CALLS_H

#include <stddef.h>
#include <stdint.h>

/// sync_file_range(2) with SYNC_FILE_RANGE_WRITE: starts write-back of a range and does not wait.
int linux_start_writeback(int descriptor, int64_t offset, int64_t count);

/// fallocate(2): 0, or -1 and errno.
int linux_fallocate(int descriptor, int mode, int64_t offset, int64_t count);

/// statfs(2): 0, or -1 and errno.
int linux_statfs(const char *path, uint32_t *type, uint64_t *available_blocks, uint64_t *block_size);

/// fcntl(2) with F_OFD_SETLK, an exclusive lock on the whole file: 0, or -1 and errno.
int linux_lock(int descriptor);

/// renameat2(2) with RENAME_EXCHANGE: the two names change places at once. 0, or -1 and errno.
int linux_exchange(const char *one, const char *other);

/// openat2(2) with RESOLVE_BENEATH: opens what lies beneath a folder, links followed as long as they do not lead out. An
/// older kernel opens it and then looks where it is. -1 and errno, EXDEV where it lies outside.
int linux_open_beneath(const char *root, const char *path, int flags, unsigned mode);

/// The way of the older kernel.
int linux_open_and_look(const char *root, const char *path, int flags, unsigned mode);

/// statx(2): 1 when the path is the root of a mount, 0 when it is not or that cannot be told.
int linux_is_mount_point(const char *path);

/// setrlimit(2): lets this process open as many files as it may at all.
void linux_raise_descriptor_limit(void);

/// sched_getaffinity(2): the number of CPUs that this process may run on; 0 where that cannot be told.
int linux_available_cpus(void);

/// SO_COOKIE of getsockopt(2): a number that no other socket has had since the machine started. 0 for what is no socket.
uint64_t linux_socket_cookie(int descriptor);

/// Bytes that have been read from a TCP connection: TCP_INFO of tcp(7) tells how many came, SIOCINQ how many of them wait.
/// -1 for what is none.
int64_t linux_tcp_bytes_read(int descriptor);

/// getpeername(2), as text without the port: 0, or -1.
int linux_peer_address(int descriptor, char *text, size_t count);

/// fcntl(2) with F_DUPFD_CLOEXEC: a descriptor, or -1 and errno.
int linux_duplicate(int descriptor);

/* eventfd(2), non-blocking and closed on exec. */
int linux_eventfd(void);

/* mallopt(3): freed buffers of a few megabytes are kept for the next, as new pages would have to be cleared each time. */
void linux_keep_freed_memory(void);

/* pthread_setname_np(3) of the calling thread; at most 15 characters. */
void linux_name_thread(const char *name);

#endif
