// The update function of each CPU level; `state` is an XXH3_state_t, whose layout does not depend on the level.
#ifndef CXXHASH_INTERNAL_H
#define CXXHASH_INTERNAL_H

#include <stddef.h>

typedef void cxx_update_function(void *state, const void *bytes, size_t count);

#if defined(__x86_64__)
cxx_update_function cxx_update_v3;
cxx_update_function cxx_update_v4;
#endif

#endif
