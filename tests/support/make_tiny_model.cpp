// make_tiny_model FOLDER: writes the tests' small model there, tiny.safetensors and tiny.yaml, for
// tests that are no C++.
#include <cstdio>

#include "tests/support/tiny_model.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: make_tiny_model FOLDER\n", stderr);
    return 2;
  }
  easel::test::write_tiny_model(std::filesystem::path(argv[1]), EASEL_CLIP_VOCABULARY);
  return 0;
}
