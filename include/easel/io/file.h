// Files: read-only mappings, and writes that leave either the whole file or none.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace easel {

// A file mapped read-only. Immutable and safe to share between threads; the mapping ends with the
// last owner. Pages come from the page cache, so nothing is read before it is used. A file that is
// being shortened by another program while it is mapped cannot be guarded against.
class MappedFile {
 public:
  // Throws Error where `path` cannot be opened or is no regular file. An empty file has empty
  // bytes.
  static std::shared_ptr<const MappedFile> open(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return bytes_; }
  const std::filesystem::path& path() const { return path_; }

 private:
  MappedFile() = default;
  std::filesystem::path path_;
  std::span<const std::byte> bytes_;
};

// The whole of a text file of at most `max_bytes`; larger is an error.
std::string read_text_file(const std::filesystem::path& path, size_t max_bytes = 64 << 20);

enum class IfExists { Replace, Refuse };

// Where write_atomically's callback puts its bytes. Every failed write (a full disk) throws Error.
class FileWriter {
 public:
  virtual ~FileWriter() = default;
  virtual void write(std::span<const std::byte> bytes) = 0;
  void write(std::string_view text) { write(std::as_bytes(std::span(text.data(), text.size()))); }
};

// Calls `produce` with a writer on a temporary file in the folder of `path`, syncs it, and gives it
// its name in one step. Whatever throws, `path` is as it was and the temporary file is gone. With
// IfExists::Refuse an existing `path` is an Error, before `produce` is called or when it appears
// meanwhile. With Replace a link is followed and the old file's mode kept; what is no regular file
// (a folder, a device) is an Error.
void write_atomically(const std::filesystem::path& path, IfExists if_exists,
                      const std::function<void(FileWriter&)>& produce);

// Removes a folder with all that is in it; links are removed, not followed. Throws Error naming
// what could not be removed. (Not std::filesystem::remove_all: LibTorch 2.11 exports a copy of it
// that calls a null pointer.)
void remove_folder(const std::filesystem::path& folder);

}  // namespace easel
