// One target for clang's libFuzzer: the program fuzz_NAME runs the target NAME.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "tests/fuzz/targets.h"

namespace {

const easel::fuzz::Target* chosen = nullptr;

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* /*argc*/, char*** argv) {
  const std::string program = std::filesystem::path((*argv)[0]).filename().string();
  for (const easel::fuzz::Target& each : easel::fuzz::targets()) {
    if (program == "fuzz_" + std::string(each.name)) chosen = &each;
  }
  if (chosen == nullptr) {
    std::fprintf(stderr, "no target of the name %s\n", program.c_str());
    std::exit(2);
  }
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  easel::fuzz::accepts(*chosen, {reinterpret_cast<const char*>(data), size});
  return 0;
}
