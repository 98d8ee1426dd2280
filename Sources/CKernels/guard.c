// Entry points, run under a guard against SIGBUS: reading a page of a mapped file that was truncated raises it, and
// a daemon must not die of that. Only frames of C functions that own nothing are jumped over.

#define _GNU_SOURCE
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#include "kernels_internal.h"

static _Thread_local sigjmp_buf guard;
static _Thread_local volatile sig_atomic_t guarded = 0;
static struct sigaction previous;

static void on_sigbus(int signal, siginfo_t *info, void *context) {
  // si_code tells a fault from a signal that somebody sent.
  if (guarded && info->si_code > 0) {
    guarded = 0;
    siglongjmp(guard, 1);
  }
  if (previous.sa_flags & SA_SIGINFO) {
    previous.sa_sigaction(signal, info, context);
  } else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
    previous.sa_handler(signal);
  } else {
    sigaction(SIGBUS, &previous, NULL); // the access faults again, and the default action follows
  }
}

/// Nothing that may fault is moved out from between these by the compiler.
static void enter_guard(void) {
  guarded = 1;
  atomic_signal_fence(memory_order_seq_cst);
}

static void leave_guard(void) {
  atomic_signal_fence(memory_order_seq_cst);
  guarded = 0;
}

static void install(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = on_sigbus;
  // NODEFER: the jump out of the handler must not leave the signal blocked, as no mask is saved with the guard.
  action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, &action, &previous);
}

static void install_once(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, install);
}

int expo_level_available(expo_level level) {
  switch (level) {
  case EXPO_LEVEL_PORTABLE:
    return 1;
#if defined(__x86_64__)
  case EXPO_LEVEL_V3:
    return __builtin_cpu_supports("x86-64-v3");
  case EXPO_LEVEL_V4:
    return __builtin_cpu_supports("x86-64-v4");
#else
  default:
    return 0;
#endif
  }
  return 0;
}

static expo_run_function *run_function(expo_level level) {
#if defined(__x86_64__)
  if (level == EXPO_LEVEL_V4) return expo_run_v4;
  if (level == EXPO_LEVEL_V3) return expo_run_v3;
#endif
  (void)level;
  return expo_run_portable;
}

int expo_extrapolate(expo_level level, const expo_operation *operation, const void *aligned, const void *sft,
                     void *output, size_t count, expo_sums *sums) {
  install_once();
  if (sigsetjmp(guard, 0) != 0) return 1;
  enter_guard();
  run_function(level)(operation, aligned, sft, output, count, sums);
  leave_guard();
  return 0;
}

void expo_delta_shape(expo_level level, expo_dtype aligned_dtype, expo_dtype sft_dtype, const void *aligned,
                      const void *sft, size_t count, expo_shape *shape) {
  expo_shape_function *function = expo_shape_portable;
#if defined(__x86_64__)
  if (level == EXPO_LEVEL_V4) function = expo_shape_v4;
  if (level == EXPO_LEVEL_V3) function = expo_shape_v3;
#endif
  (void)level;
  function(aligned_dtype, sft_dtype, aligned, sft, count, shape);
}

int expo_dequantise(expo_level level, const expo_block_scales *scales, const void *codes, expo_dtype output_dtype,
                    void *output, size_t count) {
  expo_dequantise_function *function = expo_dequantise_portable;
#if defined(__x86_64__)
  if (level == EXPO_LEVEL_V4) function = expo_dequantise_v4;
  if (level == EXPO_LEVEL_V3) function = expo_dequantise_v3;
#endif
  (void)level;
  install_once();
  if (sigsetjmp(guard, 0) != 0) return 1;
  enter_guard();
  function(scales, codes, output_dtype, output, count);
  leave_guard();
  return 0;
}

int expo_gather(const void *storage, size_t skipped, size_t size, size_t rank, const size_t *shape, const size_t *strides,
                size_t first, size_t count, void *output) {
  install_once();
  if (sigsetjmp(guard, 0) != 0) return 1;
  enter_guard();
  expo_gather_unguarded(storage, skipped, size, rank, shape, strides, first, count, output);
  leave_guard();
  return 0;
}

int expo_copy(const void *aligned, const void *sft, void *output, size_t bytes, uint64_t *differing) {
  install_once();
  if (sigsetjmp(guard, 0) != 0) return 1;
  enter_guard();
  memcpy(output, aligned, bytes);
  if (sft != NULL && memcmp(output, sft, bytes) != 0) {
    const uint8_t *a = output, *s = sft;
    uint64_t count = 0;
    for (size_t i = 0; i < bytes; i++) count += a[i] != s[i];
    *differing += count;
  }
  leave_guard();
  return 0;
}
