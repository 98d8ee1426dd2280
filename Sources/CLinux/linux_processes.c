#define _GNU_SOURCE
#include "linux_processes.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { group_limit = 1024 };

// What is sent to the guard: a group's id, or its negative to forget it.
static void tell(int guard, int32_t id) {
  while (send(guard, &id, sizeof id, MSG_NOSIGNAL) < 0 && errno == EINTR) {}
}

static void close_from(int first) {
  if (syscall(SYS_close_range, first, ~0U, 0) == 0) return;
  long limit = sysconf(_SC_OPEN_MAX);
  for (int descriptor = first; descriptor < limit && descriptor < 65536; descriptor++) close(descriptor);
}

// Between fork and exec, or without exec: nothing here may allocate or lock.

static void end_groups(const int32_t *groups, int count, int grace_milliseconds) {
  for (int i = 0; i < count; i++) kill(-groups[i], SIGTERM);
  for (int waited = 0; waited < grace_milliseconds; waited += 20) {
    int left = 0;
    for (int i = 0; i < count; i++) left += kill(-groups[i], 0) == 0;
    if (left == 0) return;
    struct timespec pause = {0, 20000000};
    nanosleep(&pause, NULL);
  }
  for (int i = 0; i < count; i++) kill(-groups[i], SIGKILL);
}

static void guard(int socket, int grace_milliseconds) {
  static int32_t groups[group_limit];
  int count = 0;
  while (1) {
    int32_t id;
    ssize_t size = recv(socket, &id, sizeof id, 0);
    if (size < 0 && errno == EINTR) continue;
    if (size != sizeof id) break;
    if (id > 0 && count < group_limit) groups[count++] = id;
    for (int i = 0; id < 0 && i < count; i++) {
      if (groups[i] == -id) groups[i--] = groups[--count];
    }
  }
  end_groups(groups, count, grace_milliseconds);
}

int linux_start_guard(int grace_milliseconds, int *id) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return -1;
  pid_t child = fork();
  if (child < 0) {
    int number = errno;
    close(ends[0]);
    close(ends[1]);
    errno = number;
    return -1;
  }
  if (child > 0) {
    close(ends[1]);
    *id = child;
    return ends[0];
  }
  // Of another session, so that a terminal that goes takes it not along.
  setsid();
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, NULL);
  prctl(PR_SET_NAME, "expomerge-guard");
  // Whoever reads this process' output shall not wait for the guard.
  dup2(ends[1], 0);
  close_from(1);
  guard(0, grace_milliseconds);
  _exit(0);
}

static void take_place(int descriptor, const char *path, int flags) {
  int file = open(path, flags | O_CLOEXEC, 0666);
  if (file < 0 || dup2(file, descriptor) < 0) _exit(126);
}

int linux_start_group(int guard, char *const argv[], char *const envp[], const char *output, const char *errors) {
  pid_t child = fork();
  if (child != 0) {
    // By both, as neither knows which comes first.
    if (child > 0) setpgid(child, child);
    return child;
  }
  setpgid(0, 0);
  tell(guard, getpid());
  for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
  take_place(0, "/dev/null", O_RDONLY);
  take_place(1, output, O_WRONLY | O_CREAT | O_TRUNC);
  take_place(2, errors, O_WRONLY | O_CREAT | O_TRUNC);
  close_from(3);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  execve(argv[0], argv, envp);
  _exit(127);
}

int linux_end_group(int guard, int id, int *status) {
  tell(guard, -id);
  while (waitpid(id, status, 0) < 0) {
    if (errno != EINTR) return -1;
  }
  return 0;
}

int linux_has_ended(int id) {
  siginfo_t info;
  memset(&info, 0, sizeof info);
  if (waitid(P_PID, (id_t)id, &info, WEXITED | WNOHANG | WNOWAIT) != 0) return errno == EINTR ? 0 : -1;
  return info.si_pid == id;
}

int linux_group_runs(int id) {
  DIR *folder = opendir("/proc");
  if (!folder) return -1;
  int runs = 0;
  struct dirent *entry;
  while (!runs && (entry = readdir(folder))) {
    if (entry->d_name[0] < '0' || entry->d_name[0] > '9') continue;
    char path[300], line[1024];
    snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) continue;
    ssize_t size = read(file, line, sizeof line - 1);
    close(file);
    if (size <= 0) continue;
    line[size] = 0;
    // The name before it may hold anything.
    const char *rest = strrchr(line, ')');
    char state;
    int parent, group;
    if (rest && sscanf(rest + 1, " %c %d %d", &state, &parent, &group) == 3) runs = group == id && state != 'Z' && state != 'X';
  }
  closedir(folder);
  return runs;
}
