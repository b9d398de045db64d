#include <algorithm>
#include <charconv>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include <easel/base/error.h>
#include <easel/io/tensor_file.h>

#include "path_text.h"
#include "pickle.h"
#include "sniff.h"
#include "tar.h"
#include "torch_cursor.h"
#include "torch_legacy.h"
#include "torch_tensors.h"
#include "zip_reader.h"

namespace easel {
namespace {

constexpr uint64_t kMaxPickleBytes = uint64_t{1} << 30;
constexpr int kHighestVersion = 10;  // of torch's zips

// Weights hardly shrink: a file whose tensors are this many times larger than it is hostile.
constexpr uint64_t kMaxInflation = 64;
constexpr uint64_t kInflationFloor = 256 << 20;

// A whole entry as text.
class EntryText {
 public:
  EntryText(const ZipEntry& entry, uint64_t max_bytes) {
    if (entry.num_bytes > max_bytes) {
      fail("the zip's entry '{}' claims {} bytes, more than the {} that are allowed",
           printable(entry.name), entry.num_bytes, max_bytes);
    }
    bytes_ = entry.stored;
    if (entry.deflated) {
      inflated_.resize(entry.num_bytes);
      inflate_entry(entry, inflated_);
      bytes_ = inflated_;
    } else {
      check_crc(entry, bytes_);
    }
  }
  EntryText(const EntryText&) = delete;
  EntryText& operator=(const EntryText&) = delete;
  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::vector<std::byte> inflated_;
  std::span<const std::byte> bytes_;
};

// What stands in front of "data.pkl": the name of the one folder that torch.save makes, with '/'.
std::string find_prefix(const ZipReader& zip) {
  constexpr std::string_view kPickle = "data.pkl";
  std::optional<std::string> prefix;
  for (const auto& [name, entry] : zip.entries()) {
    if (!name.ends_with(kPickle)) continue;
    const std::string_view front = std::string_view(name).substr(0, name.size() - kPickle.size());
    if (!front.empty() && front.find('/') != front.size() - 1) continue;
    if (prefix) fail("it is a zip with two pickles ('{}data.pkl' and '{}')", *prefix, name);
    prefix = front;
  }
  if (!prefix) fail("it is a zip, but not torch.save's: it has no data.pkl");
  if (zip.find(*prefix + "constants.pkl") != nullptr) {
    fail(
        "it is a TorchScript program (torch.jit.save); save the model's state_dict() with "
        "torch.save instead");
  }
  return *prefix;
}

void check_marks(const ZipReader& zip, const std::string& prefix) {
  if (const ZipEntry* order = zip.find(prefix + "byteorder")) {
    const EntryText text(*order, 64);
    if (as_text(text.bytes()) != "little") {
      fail("its byte order is '{}'; only little-endian files can be read",
           printable(as_text(text.bytes())));
    }
  }
  if (const ZipEntry* version = zip.find(prefix + "version")) {
    const EntryText text(*version, 64);
    const std::string_view digits = as_text(text.bytes());
    int number = 0;
    const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (result.ec != std::errc() || number < 1 || number > kHighestVersion) {
      fail("its version is '{}'; 1 to {} can be read", printable(digits), kHighestVersion);
    }
  }
}

TensorFile read_torch_zip(const std::shared_ptr<const MappedFile>& file) {
  const ZipReader zip(file);
  const std::string prefix = find_prefix(zip);
  check_marks(zip, prefix);
  const EntryText text(*zip.find(prefix + "data.pkl"), kMaxPickleBytes);
  Cursor in(text.bytes(), "data.pkl");
  const Pickle pickle = read_pickle(in, torch_persistent_id);

  uint64_t inflated = 0;
  const uint64_t max_inflated =
      std::max(kInflationFloor, static_cast<uint64_t>(file->bytes().size()) * kMaxInflation);
  return collect_tensors(pickle, [&](const PickleStorage& storage) {
    const ZipEntry* entry = zip.find(prefix + "data/" + storage.key);
    if (entry == nullptr) fail("its storage '{}' is not in the file", printable(storage.key));
    if (!entry->deflated) return storage_bytes(entry->stored, file);
    const uint64_t item_bytes = storage.dtype ? c10::elementSize(*storage.dtype) : 1;
    if (storage.num_items < 0 ||
        entry->num_bytes / item_bytes != static_cast<uint64_t>(storage.num_items)) {
      fail("its storage '{}' has {} bytes, but {} items of {} bytes are expected",
           printable(storage.key), entry->num_bytes, storage.num_items, item_bytes);
    }
    if (entry->num_bytes > max_inflated - inflated) {
      fail("the zip inflates to more than {} bytes: it is damaged or hostile", max_inflated);
    }
    inflated += entry->num_bytes;
    Tensor bytes = at::empty({static_cast<int64_t>(entry->num_bytes)}, at::kByte);
    inflate_entry(*entry, {static_cast<std::byte*>(bytes.mutable_data_ptr()), entry->num_bytes});
    return bytes;
  });
}

TensorFile read_by_first_bytes(const std::shared_ptr<const MappedFile>& file) {
  const std::string_view text = as_text(file->bytes());
  TensorFile result;
  if (text.starts_with("PK\x03\x04") || text.starts_with("PK\x05\x06")) {
    result = read_torch_zip(file);
    result.format = "torch zip";
    return result;
  }
  if (looks_like_tar(file->bytes())) {
    result = read_torch_tar(file);
  } else if (text.starts_with('\x80')) {
    result = read_torch_stream(file);
  } else {
    const std::string_view guess = guess_content(file->bytes());
    fail("it is neither a zip nor a pickle nor a tar{}{}", guess.empty() ? "" : "; it seems to be ",
         guess);
  }
  result.format = "torch legacy";
  return result;
}

}  // namespace

TensorFile read_torch_file(const std::filesystem::path& path) {
  const std::shared_ptr<const MappedFile> file = MappedFile::open(path);
  try {
    return read_by_first_bytes(file);
  } catch (const Error& error) {
    fail("'{}' cannot be read as a torch.save file: {}", path_text(path), error.what());
  } catch (const std::bad_alloc&) {
    fail("'{}' cannot be read: there is too little memory for it", path_text(path));
  }
}

}  // namespace easel
