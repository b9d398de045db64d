// replay SEEDS [CHANGES]: runs every target on the files of SEEDS/<target>, as they are, cut off,
// and each with CHANGES random changes (the same ones every time). What goes wrong ends the program
// with the input in replay-failed.bin.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

#include "tests/fuzz/targets.h"

namespace easel::fuzz {
namespace {

namespace fs = std::filesystem;

constexpr int kCuts = 16;  // of each file, evenly spread

std::string bytes_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

bool run(const Target& target, const std::string& bytes, const fs::path& from) {
  // Kept beforehand, since a crash leaves no time for it.
  static const char* const kKept = "replay-failed.bin";
  std::ofstream(kKept, std::ios::binary)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  try {
    const bool taken = accepts(target, bytes);
    fs::remove(kKept);
    return taken;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s on what was made of %s (%s): %s\n", std::string(target.name).c_str(),
                 from.c_str(), kKept, error.what());
    std::exit(1);
  }
}

// A few bytes replaced, removed, repeated or taken from elsewhere in the file.
std::string changed(std::string bytes, std::minstd_rand& random) {
  const auto below = [&](size_t end) { return end == 0 ? 0 : random() % end; };
  for (size_t i = 0, times = 1 + below(4); i < times && !bytes.empty(); ++i) {
    const size_t at = below(bytes.size());
    const size_t length = std::min(bytes.size() - at, 1 + below(8));
    switch (below(5)) {
      case 0:
        bytes[at] = static_cast<char>(random());
        break;
      case 1:
        bytes[at] = static_cast<char>(static_cast<unsigned char>(bytes[at]) ^ (1U << below(8)));
        break;
      case 2:
        bytes.erase(at, length);
        break;
      case 3:
        bytes.insert(at, std::string(bytes, at, length));
        break;
      default:
        bytes.replace(at, length, std::string(bytes, below(bytes.size()), length));
    }
  }
  return bytes;
}

int replay(const fs::path& seeds, int changes) {
  for (const Target& target : targets()) {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(seeds / target.name)) {
      files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    int taken = 0;
    std::minstd_rand random;
    for (const fs::path& file : files) {
      const std::string bytes = bytes_of(file);
      if (run(target, bytes, file)) ++taken;
      for (int i = 0; i < kCuts; ++i) run(target, bytes.substr(0, bytes.size() * i / kCuts), file);
      for (int i = 0; i < changes; ++i) run(target, changed(bytes, random), file);
    }
    std::printf("%s: %zu files, %d of them taken\n", std::string(target.name).c_str(), files.size(),
                taken);
    if (taken == 0) {
      std::fputs("no seed is a valid one\n", stderr);
      return 1;
    }
  }
  return 0;
}

}  // namespace
}  // namespace easel::fuzz

int main(int argc, char** argv) {
  if (argc != 2 && argc != 3) {
    std::fputs("usage: replay SEEDS [CHANGES]\n", stderr);
    return 2;
  }
  return easel::fuzz::replay(argv[1], argc == 3 ? std::atoi(argv[2]) : 0);
}
