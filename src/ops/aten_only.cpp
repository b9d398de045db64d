#include "easel/ops/aten_only.h"

namespace easel::ops {
namespace {

thread_local bool aten_only = false;

}  // namespace

AtenOnly::AtenOnly() : before_(aten_only) { aten_only = true; }

AtenOnly::~AtenOnly() { aten_only = before_; }

bool AtenOnly::is_enabled() { return aten_only; }

}  // namespace easel::ops
