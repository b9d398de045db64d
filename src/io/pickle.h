// Reads Python pickles without Python: containers, numbers and strings are rebuilt, tensors are
// described, and every other global stays an opaque value that is never imported or called.
#pragma once

#include <functional>

#include "pickle_value.h"
#include "torch_cursor.h"

namespace easel {

// What a persistent id (a reference to something outside of the pickle) stands for.
using PersistentIds = std::function<PickleValue(const Pickle&, PickleId)>;

// Reads one pickle of protocol 0 to 5 up to its end mark, where `in` stays. Throws Error with the
// byte offset where it is malformed, names a persistent id though there are no `persistent_ids`, or
// is larger than any checkpoint's.
Pickle read_pickle(Cursor& in, const PersistentIds& persistent_ids = {});

}  // namespace easel
