// Our versions of the intercepted calls, one per line of intercepted_calls.h, with libc's names. They behave as the
// Linux man pages say; descriptors that are not endpoints go to the kernel unchanged.
#pragma once

#include "stack/preload/intercepted_calls.h"

namespace postern::preload::calls {

#define POSTERN_DECLARE_CALL(ret, name, params, args, doc) ret name params;
POSTERN_INTERCEPTED_CALLS(POSTERN_DECLARE_CALL)
#undef POSTERN_DECLARE_CALL

}  // namespace postern::preload::calls
