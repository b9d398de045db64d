// What the tests of torch.save files share.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <easel/base/error.h>
#include <easel/io/tensor_file.h>

#include "tests/support/temp_dir.h"
#include "tests/support/torch_archive.h"

namespace easel::test {

inline std::filesystem::path fixture(const std::string& name) {
  return std::filesystem::path(EASEL_TEST_DATA) / "torch_files" / name;
}

inline TensorFile read_bytes(const std::string& bytes) {
  const TempDir dir;
  return read_torch_file(dir.write("test.pt", bytes));
}

inline std::string error_of(const std::string& bytes) {
  return message_of<Error>([&] { read_bytes(bytes); });
}

inline std::string fixture_error(const std::string& name) {
  return message_of<Error>([&] { read_torch_file(fixture(name)); });
}

inline void expect_contains(const std::string& message, std::string_view part) {
  EXPECT_NE(message.find(part), message.npos) << "'" << message << "' has no '" << part << "'";
}

inline Tensor floats(int64_t count) { return at::arange(count, at::kFloat); }

}  // namespace easel::test
