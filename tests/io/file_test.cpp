#include "easel/io/file.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <thread>

#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <easel/base/error.h>

#include "src/io/rename_new.h"
#include "tests/support/temp_dir.h"

namespace easel {
namespace {

using test::file_bytes;
using test::message_of;
using test::TempDir;

namespace fs = std::filesystem;

void put(const fs::path& path, IfExists if_exists, std::string_view text) {
  write_atomically(path, if_exists, [&](FileWriter& out) { out.write(text); });
}

void expect_message(const std::string& message, const std::string& expected) {
  EXPECT_NE(message.find(expected), std::string::npos)
      << "expected: " << expected << "\ngot: " << message;
}

mode_t mode_of(const fs::path& path) {
  struct stat status {};
  EXPECT_EQ(::stat(path.c_str(), &status), 0);
  return status.st_mode & 0777;
}

TEST(MappedFile, ShowsTheBytes) {
  const TempDir dir;
  const auto file = MappedFile::open(dir.write("a", "hello"));
  EXPECT_EQ(file->path(), dir / "a");
  ASSERT_EQ(file->bytes().size(), 5u);
  EXPECT_EQ(std::memcmp(file->bytes().data(), "hello", 5), 0);
}

TEST(MappedFile, EmptyFileHasNoBytes) {
  const TempDir dir;
  EXPECT_TRUE(MappedFile::open(dir.write("a", ""))->bytes().empty());
}

TEST(MappedFile, OutlivesTheFilesName) {
  const TempDir dir;
  const auto file = MappedFile::open(dir.write("a", "hello"));
  fs::remove(dir / "a");
  EXPECT_EQ(static_cast<char>(file->bytes()[4]), 'o');
}

TEST(MappedFile, RefusesWhatIsNoRegularFile) {
  const TempDir dir;
  expect_message(message_of<Error>([&] { MappedFile::open(dir / "none"); }),
                 "No such file or directory");
  expect_message(message_of<Error>([&] { MappedFile::open(dir.path()); }), "it is a folder");
  ASSERT_EQ(::mkfifo((dir / "pipe").c_str(), 0600), 0);
  expect_message(message_of<Error>([&] { MappedFile::open(dir / "pipe"); }), "no regular file");
  expect_message(message_of<Error>([&] { MappedFile::open("/dev/zero"); }), "no regular file");
}

TEST(MappedFile, SaysThatPermissionIsDenied) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may read everything";
  const TempDir dir;
  ASSERT_EQ(::chmod(dir.write("a", "x").c_str(), 0), 0);
  expect_message(message_of<Error>([&] { MappedFile::open(dir / "a"); }), "Permission denied");
}

TEST(MappedFile, EscapesTheNameInMessages) {
  expect_message(message_of<Error>([&] { MappedFile::open("/none/\x1b[31m"); }), "\\x1b[31m");
}

TEST(ReadTextFile, ReadsUpToTheLimit) {
  const TempDir dir;
  const auto path = dir.write("a", std::string(100'000, 'x'));
  EXPECT_EQ(read_text_file(path, 100'000), std::string(100'000, 'x'));
  expect_message(message_of<Error>([&] { read_text_file(path, 99'999); }), "99999 bytes");
  expect_message(message_of<Error>([&] { read_text_file("/dev/zero", 1 << 20); }), "larger than");
  EXPECT_EQ(read_text_file(dir.write("b", "")), "");
  expect_message(message_of<Error>([&] { read_text_file(dir.path()); }), "it is a folder");
  expect_message(message_of<Error>([&] { read_text_file(dir / "none"); }), "No such file");
}

TEST(WriteAtomically, WritesSmallAndLargePieces) {
  const TempDir dir;
  std::string expected;
  write_atomically(dir / "a", IfExists::Refuse, [&](FileWriter& out) {
    for (const size_t size : {1, 100, 1 << 20, 3, (1 << 20) - 1, (1 << 21) + 7, 0, 5}) {
      const std::string piece(size, static_cast<char>('a' + expected.size() % 26));
      out.write(piece);
      expected += piece;
    }
  });
  EXPECT_EQ(file_bytes(dir / "a"), expected);
  EXPECT_EQ(dir.count(), 1u);
}

TEST(WriteAtomically, ReplacesOnlyWhenAsked) {
  const TempDir dir;
  put(dir / "a", IfExists::Refuse, "one");
  put(dir / "a", IfExists::Replace, "two");
  EXPECT_EQ(file_bytes(dir / "a"), "two");
  bool called = false;
  const std::string message = message_of<Error>(
      [&] { write_atomically(dir / "a", IfExists::Refuse, [&](FileWriter&) { called = true; }); });
  expect_message(message, "exists already");
  EXPECT_FALSE(called);  // refused before the work is done
  EXPECT_EQ(file_bytes(dir / "a"), "two");
  EXPECT_EQ(dir.count(), 1u);
}

TEST(WriteAtomically, RefusesAFileThatAppearsMeanwhile) {
  const TempDir dir;
  const std::string message = message_of<Error>([&] {
    write_atomically(dir / "a", IfExists::Refuse, [&](FileWriter& out) {
      out.write("ours");
      dir.write("a", "theirs");
    });
  });
  expect_message(message, "exists already");
  EXPECT_EQ(file_bytes(dir / "a"), "theirs");
  EXPECT_EQ(dir.count(), 1u);
}

TEST(WriteAtomically, OneOfManyWritersWins) {
  const TempDir dir;
  std::array<int, 8> won{};
  std::vector<std::thread> threads;
  for (size_t i = 0; i < won.size(); ++i) {
    threads.emplace_back([&, i] {
      won[i] = message_of<Error>([&] {
                 put(dir / "a", IfExists::Refuse, std::string(1000, static_cast<char>('0' + i)));
               }).empty();
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(std::count(won.begin(), won.end(), 1), 1);
  const auto winner = std::find(won.begin(), won.end(), 1) - won.begin();
  EXPECT_EQ(file_bytes(dir / "a"), std::string(1000, static_cast<char>('0' + winner)));
  EXPECT_EQ(dir.count(), 1u);
}

TEST(WriteAtomically, LeavesEverythingAsItWasWhenTheWorkThrows) {
  const TempDir dir;
  dir.write("a", "before");
  for (const IfExists if_exists : {IfExists::Replace, IfExists::Refuse}) {
    const fs::path path = dir / (if_exists == IfExists::Replace ? "a" : "b");
    EXPECT_THROW(write_atomically(path, if_exists,
                                  [&](FileWriter& out) {
                                    out.write(std::string(3 << 20, 'x'));
                                    throw std::bad_alloc();
                                  }),
                 std::bad_alloc);
  }
  EXPECT_EQ(file_bytes(dir / "a"), "before");
  EXPECT_EQ(dir.count(), 1u);
}

TEST(WriteAtomically, ReadersOfTheOldFileKeepIt) {
  const TempDir dir;
  const auto old = MappedFile::open(dir.write("a", "before"));
  put(dir / "a", IfExists::Replace, "after!");
  EXPECT_EQ(std::memcmp(old->bytes().data(), "before", 6), 0);
}

TEST(WriteAtomically, HasTheModeThatTheUmaskLeaves) {
  const TempDir dir;
  const mode_t before = ::umask(027);
  put(dir / "a", IfExists::Refuse, "x");
  ::umask(before);
  EXPECT_EQ(mode_of(dir / "a"), 0640u);
}

TEST(WriteAtomically, KeepsTheModeOfAReplacedFile) {
  const TempDir dir;
  ASSERT_EQ(::chmod(dir.write("a", "x").c_str(), 0604), 0);
  put(dir / "a", IfExists::Replace, "y");
  EXPECT_EQ(mode_of(dir / "a"), 0604u);
}

TEST(WriteAtomically, ReplacesWhatALinkPointsTo) {
  const TempDir dir;
  dir.write("a", "x");
  ASSERT_EQ(::symlink("a", (dir / "link").c_str()), 0);
  put(dir / "link", IfExists::Replace, "y");
  EXPECT_TRUE(fs::is_symlink(dir / "link"));
  EXPECT_EQ(file_bytes(dir / "a"), "y");
  expect_message(message_of<Error>([&] { put(dir / "link", IfExists::Refuse, "z"); }),
                 "exists already");
}

TEST(WriteAtomically, RefusesABrokenLink) {
  const TempDir dir;
  ASSERT_EQ(::symlink("none", (dir / "link").c_str()), 0);
  expect_message(message_of<Error>([&] { put(dir / "link", IfExists::Refuse, "z"); }),
                 "exists already");
  expect_message(message_of<Error>([&] { put(dir / "link", IfExists::Replace, "z"); }),
                 "No such file");
  EXPECT_EQ(dir.count(), 1u);
}

TEST(WriteAtomically, RefusesFoldersAndDevices) {
  const TempDir dir;
  expect_message(message_of<Error>([&] { put(dir.path(), IfExists::Replace, ""); }),
                 "it is a folder");
  expect_message(message_of<Error>([&] { put(dir / "", IfExists::Replace, ""); }),
                 "names a folder");
  expect_message(message_of<Error>([&] { put("", IfExists::Replace, ""); }), "names a folder");
  expect_message(message_of<Error>([&] { put("/dev/null", IfExists::Replace, ""); }),
                 "no regular file");
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
}

TEST(WriteAtomically, SaysThatTheFolderIsMissing) {
  const TempDir dir;
  expect_message(message_of<Error>([&] { put(dir / "none/a", IfExists::Refuse, ""); }),
                 "there is no folder '" + (dir / "none").string() + "'");
  dir.write("file", "x");
  expect_message(message_of<Error>([&] { put(dir / "file/a", IfExists::Refuse, ""); }),
                 "Not a directory");
}

TEST(WriteAtomically, SaysThatTheFolderIsNotWritable) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may write everywhere";
  const TempDir dir;
  ASSERT_EQ(::chmod(dir.path().c_str(), 0500), 0);
  expect_message(message_of<Error>([&] { put(dir / "a", IfExists::Refuse, ""); }),
                 "Permission denied");
}

TEST(WriteAtomically, TakesTheLongestName) {
  const TempDir dir;
  const std::string name(255, 'n');
  put(dir / name, IfExists::Refuse, "x");
  EXPECT_EQ(file_bytes(dir / name), "x");
  expect_message(message_of<Error>([&] { put(dir / (name + "n"), IfExists::Refuse, "x"); }),
                 "File name too long");
  EXPECT_EQ(dir.count(), 1u);
}

// A file system of one MiB in a folder of its own.
class SmallDisk {
 public:
  explicit SmallDisk(const fs::path& folder) : folder_(folder) {
    fs::create_directory(folder);
    mounted_ = ::mount("tmpfs", folder.c_str(), "tmpfs", 0, "size=1m") == 0;
  }
  ~SmallDisk() {
    if (mounted_) ::umount2(folder_.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  bool mounted() const { return mounted_; }

 private:
  fs::path folder_;
  bool mounted_ = false;
};

TEST(WriteAtomically, FullDiskLosesNothing) {
  const TempDir dir;
  const SmallDisk disk(dir / "disk");
  if (!disk.mounted()) GTEST_SKIP() << "cannot mount a small file system: " << std::strerror(errno);
  put(dir / "disk/a", IfExists::Refuse, "before");
  for (const size_t size : {3 << 20, (1 << 20) + 1}) {
    const std::string message =
        message_of<Error>([&] { put(dir / "disk/a", IfExists::Replace, std::string(size, 'x')); });
    expect_message(message, "No space left on device");
    expect_message(message, (dir / "disk/a").string());
    EXPECT_EQ(file_bytes(dir / "disk/a"), "before");
  }
  EXPECT_EQ(std::distance(fs::directory_iterator(dir / "disk"), fs::directory_iterator()), 1);
}

class RenameNew : public ::testing::TestWithParam<int (*)(const fs::path&, const fs::path&)> {};

TEST_P(RenameNew, NeverOverwrites) {
  const TempDir dir;
  const auto from = dir.write("from", "new");
  const auto to = dir.write("to", "old");
  const int taken = GetParam()(from, to);
  if (taken == EINVAL || taken == ENOSYS) GTEST_SKIP() << "not known to this file system";
  EXPECT_EQ(taken, EEXIST);
  EXPECT_EQ(file_bytes(to), "old");
  EXPECT_EQ(file_bytes(from), "new");
  EXPECT_EQ(GetParam()(from, dir / "free"), 0);
  EXPECT_EQ(file_bytes(dir / "free"), "new");
  EXPECT_FALSE(fs::exists(from));
  EXPECT_NE(GetParam()(dir / "none", dir / "other"), 0);
  EXPECT_FALSE(fs::exists(dir / "other"));
}

INSTANTIATE_TEST_SUITE_P(AllWays, RenameNew,
                         ::testing::Values(&rename_exclusive, &rename_by_link, &rename_over_claim,
                                           &rename_new));

}  // namespace
}  // namespace easel
