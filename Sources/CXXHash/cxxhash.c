#define XXH_INLINE_ALL
#include <xxhash.h>

#include "cxxhash.h"
#include "cxxhash_internal.h"

struct cxx_state {
  XXH3_state_t state;
  cxx_update_function *update;
};

static void update_portable(void *state, const void *bytes, size_t count) {
  XXH3_128bits_update((XXH3_state_t *)state, bytes, count);
}

static cxx_update_function *best_update(void) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("x86-64-v4")) return cxx_update_v4;
  if (__builtin_cpu_supports("x86-64-v3")) return cxx_update_v3;
#endif
  return update_portable;
}

cxx_state *cxx_create(void) {
  cxx_state *state = aligned_alloc(64, sizeof(cxx_state));
  if (state == NULL) return NULL;
  XXH3_128bits_reset(&state->state);
  state->update = best_update();
  return state;
}

void cxx_free(cxx_state *state) { free(state); }

void cxx_update(cxx_state *state, const void *bytes, size_t count) { state->update(&state->state, bytes, count); }

cxx_digest cxx_finish(const cxx_state *state) {
  const XXH128_hash_t digest = XXH3_128bits_digest(&state->state);
  return (cxx_digest){.low = digest.low64, .high = digest.high64};
}
