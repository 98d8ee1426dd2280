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

static cxx_update_function *update_function(cxx_level level) {
#if defined(__x86_64__)
  const int has_v3 = __builtin_cpu_supports("x86-64-v3"), has_v4 = __builtin_cpu_supports("x86-64-v4");
  if ((level == CXX_BEST || level == CXX_V4) && has_v4) return cxx_update_v4;
  if ((level == CXX_BEST || level == CXX_V3) && has_v3) return cxx_update_v3;
#endif
  return level == CXX_BEST || level == CXX_PORTABLE ? update_portable : NULL;
}

cxx_state *cxx_create(cxx_level level) {
  cxx_update_function *update = update_function(level);
  cxx_state *state = update == NULL ? NULL : aligned_alloc(64, sizeof(cxx_state));
  if (state == NULL) return NULL;
  XXH3_128bits_reset(&state->state);
  state->update = update;
  return state;
}

void cxx_free(cxx_state *state) { free(state); }

void cxx_update(cxx_state *state, const void *bytes, size_t count) { state->update(&state->state, bytes, count); }

cxx_digest cxx_finish(const cxx_state *state) {
  const XXH128_hash_t digest = XXH3_128bits_digest(&state->state);
  return (cxx_digest){.low = digest.low64, .high = digest.high64};
}
