// libzmq is not instrumented: that what was sent on one thread comes later on another, received or given back, is not seen.
// Its functions are called through those of the same names here.
#if __has_feature(thread_sanitizer)
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sanitizer/tsan_interface.h>
#include <stdlib.h>
#include <zmq.h>

/// Stands for all queues of libzmq.
static char queues;

int zmq_msg_send(zmq_msg_t *message, void *socket, int flags) {
  __tsan_release(&queues);
  return ((__typeof__(&zmq_msg_send))dlsym(RTLD_NEXT, "zmq_msg_send"))(message, socket, flags);
}

int zmq_msg_recv(zmq_msg_t *message, void *socket, int flags) {
  int count = ((__typeof__(&zmq_msg_recv))dlsym(RTLD_NEXT, "zmq_msg_recv"))(message, socket, flags);
  __tsan_acquire(&queues);
  return count;
}

struct loan {
  zmq_free_fn *give_back;
  void *hint;
};

static void give_back(void *data, void *hint) {
  __tsan_acquire(&queues);
  struct loan loan = *(struct loan *)hint;
  free(hint);
  loan.give_back(data, loan.hint);
}

int zmq_msg_init_data(zmq_msg_t *message, void *data, size_t size, zmq_free_fn *release, void *hint) {
  struct loan *loan = malloc(sizeof *loan);
  if (!loan) abort();
  *loan = (struct loan){release, hint};
  return ((__typeof__(&zmq_msg_init_data))dlsym(RTLD_NEXT, "zmq_msg_init_data"))(message, data, size, give_back, loan);
}
#endif
