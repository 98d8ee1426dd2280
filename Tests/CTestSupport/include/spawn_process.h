// posix_spawn(3) with what Swift's Glibc module leaves out.
#ifndef SPAWN_PROCESS_H
#define SPAWN_PROCESS_H

/// Starts argv[0] in `folder` (NULL: here) with empty input and both outputs appended to files, with no other file of
/// this process and with every signal as it is by default. 0, or an error number.
int spawn_process(
    int *id, char *const argv[], char *const envp[], const char *folder, const char *output, const char *errors);

#endif
