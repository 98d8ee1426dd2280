// Process groups that end with the process that started them.
#ifndef LINUX_PROCESSES_H
#define LINUX_PROCESSES_H

/// Forks a process that waits for this one to end, however that happens, and then ends the groups that it was told of and not
/// told to forget: SIGTERM, after a while SIGKILL. No signal but SIGKILL ends it before. To be called before there are other
/// threads. A descriptor to tell it with, or -1 and errno.
int linux_start_guard(int grace_milliseconds, int *id);

/// Forks and executes `argv` in a process group of its own, which the guard is told of before the program starts. Standard input is
/// /dev/null, output and errors are written to files; no other file is open, and no signal blocked or ignored. The id of process
/// and group, or -1 and errno. A program that cannot be executed exits with 127.
int linux_start_group(int guard, char *const argv[], char *const envp[], const char *output, const char *errors);

/// Takes the exit status of a group's first process, as waitpid(2) has it, and lets the guard forget the group, whose number
/// may then be another's. 0, or -1 and errno.
int linux_end_group(int guard, int id, int *status);

/// Whether a child has ended, and not taken away its status: 1, 0, or -1 and errno; waitid(2) with WNOWAIT.
int linux_has_ended(int id);

/// Whether processes of a group run, those not counted that have ended and wait for somebody to take their status: 1, 0, or -1 where
/// that cannot be told; proc(5).
int linux_group_runs(int id);

#endif
