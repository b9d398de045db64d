// The pickle opcodes that stand for one number or string of their own.
#pragma once

#include <cstdint>
#include <optional>

#include "pickle_value.h"
#include "torch_cursor.h"

namespace easel {

// The value of the opcode that was just read, its argument taken from `in`; nullopt where it is
// none of these. Throws Error on a malformed argument.
std::optional<PickleValue> read_pickle_scalar(Cursor& in, uint8_t opcode);

}  // namespace easel
