// XXH3-128 of libxxhash, whose header is compiled here once per CPU level: the distribution's shared library has the
// SSE2 code only. The digests are the same.
#ifndef CXXHASH_H
#define CXXHASH_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
  uint64_t low, high;
} cxx_digest;

typedef struct cxx_state cxx_state;

/// Instructions to use; the best that the CPU has, or one of them for tests.
typedef enum { CXX_BEST, CXX_PORTABLE, CXX_V3, CXX_V4 } cxx_level;

/// NULL when memory is short or the CPU lacks the level.
cxx_state *cxx_create(cxx_level level);
void cxx_free(cxx_state *state);
void cxx_update(cxx_state *state, const void *bytes, size_t count);
cxx_digest cxx_finish(const cxx_state *state);

#endif
