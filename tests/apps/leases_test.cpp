// Leases on pieces of work: one owner at a time, and none for ever.
#include "cli/leases.h"

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <easel/base/error.h>

#include "tests/support/temp_dir.h"

namespace easel::cli {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;
using test::TempDir;

constexpr seconds kLasts(60);

class LeaseFolder : public ::testing::Test {
 protected:
  Leases owner(const std::string& name) const { return {folder_.path(), name, kLasts}; }
  // Sets the time of a lease, as the machine of its owner sees it.
  void set_time(const std::string& name, time_t time) const {
    const struct timespec times[2] = {{time, 0}, {time, 0}};
    ASSERT_EQ(::utimensat(AT_FDCWD, (folder_ / name).c_str(), times, 0), 0);
  }
  struct timespec time_of(const std::string& name) const {
    struct stat status {};
    EXPECT_EQ(::stat((folder_ / name).c_str(), &status), 0);
    return status.st_mtim;
  }
  bool has(const std::string& name) const { return fs::exists(folder_ / name); }

  TempDir folder_;
  Leases::Time now_{};  // of the one who looks
};

TEST_F(LeaseFolder, HaveOneOwner) {
  Leases a = owner("a");
  Leases b = owner("b");
  a.look(now_);
  b.look(now_);
  EXPECT_TRUE(a.is_free(5, now_) && b.is_free(5, now_));
  EXPECT_TRUE(a.take(5, now_));
  EXPECT_FALSE(a.is_free(5, now_));
  EXPECT_EQ(test::file_bytes(folder_ / "5.0"), "a\n");
  EXPECT_FALSE(b.take(5, now_));  // it has not looked again
  b.look(now_);
  EXPECT_FALSE(b.is_free(5, now_));
  EXPECT_TRUE(b.is_free(6, now_) && b.take(6, now_));
  a.give_back(5);
  b.look(now_);
  EXPECT_TRUE(b.is_free(5, now_) && b.take(5, now_));
}

TEST_F(LeaseFolder, GoToOneOfManyThatAskAtOnce) {
  for (int64_t piece = 0; piece < 20; ++piece) {
    std::atomic<int> owners = 0;
    std::vector<std::unique_ptr<Leases>> all;
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i) {
      all.push_back(std::make_unique<Leases>(folder_.path(), std::to_string(i), kLasts));
    }
    for (const auto& each : all) {
      threads.emplace_back([&, leases = each.get()] {
        leases->look(now_);
        if (leases->is_free(piece, now_) && leases->take(piece, now_)) ++owners;
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(owners, 1);
  }
}

TEST_F(LeaseFolder, EndWithTheirOwner) {
  {
    Leases a = owner("a");
    EXPECT_TRUE(a.take(1, now_) && a.take(2, now_));
    EXPECT_EQ(folder_.count(), 2u);
  }
  EXPECT_EQ(folder_.count(), 0u);
}

TEST_F(LeaseFolder, RunOutWithoutASignOfLife) {
  folder_.write("5.0", "killed\n");
  Leases b = owner("b");
  Leases c = owner("c");
  b.look(now_);
  c.look(now_);
  const auto later = now_ + kLasts;
  EXPECT_FALSE(b.is_free(5, later - seconds(1)));
  b.look(later);
  c.look(later);
  EXPECT_TRUE(b.is_free(5, later) && c.is_free(5, later));
  EXPECT_TRUE(b.take(5, later));
  EXPECT_FALSE(c.take(5, later));  // it is b's now
  EXPECT_TRUE(has("5.0") && has("5.1"));
  c.look(later);
  EXPECT_FALSE(c.is_free(5, later + kLasts - seconds(1)));
  b.give_back(5);
  EXPECT_EQ(folder_.count(), 0u);
}

TEST_F(LeaseFolder, LastAsLongAsTheyAreRenewed) {
  Leases a = owner("a");
  Leases b = owner("b");
  ASSERT_TRUE(a.take(5, now_));
  for (int i = 0; i < 5; ++i) {
    set_time("5.0", 1000);  // so that renewing changes the time, however coarse it is
    b.look(now_);
    now_ += kLasts - seconds(1);
    a.renew();
    EXPECT_GT(time_of("5.0").tv_sec, 1000);
    b.look(now_);
    EXPECT_FALSE(b.is_free(5, now_));
  }
}

// Clocks that are years apart, and one that is set back.
TEST_F(LeaseFolder, DoNotCompareClocks) {
  Leases b = owner("b");
  folder_.write("1.0", "a\n");
  folder_.write("2.0", "a\n");
  const time_t here = ::time(nullptr);
  const time_t year = 365 * 24 * 3600;
  for (int i = 0; i < 4; ++i) {
    set_time("1.0", here - 10 * year + i);  // far behind, and alive
    set_time("2.0", here + 10 * year - i);  // far ahead and running backwards, and alive
    b.look(now_);
    now_ += kLasts - seconds(1);
    EXPECT_FALSE(b.is_free(1, now_) || b.is_free(2, now_));
  }
  b.look(now_);
  set_time("1.0", here - 20 * year);
  b.look(now_ + seconds(2));
  EXPECT_FALSE(b.is_free(1, now_ + kLasts));
  EXPECT_TRUE(b.is_free(2, now_ + kLasts));  // its time stands still in the future
}

// Whoever was held up himself has not seen the signs of life, and looks before he takes over.
TEST_F(LeaseFolder, AreLookedAtOnceMoreBeforeTheyAreTakenOver) {
  folder_.write("5.0", "a\n");
  Leases b = owner("b");
  set_time("5.0", 1000);
  b.look(now_);
  set_time("5.0", 1001);
  now_ += 10 * kLasts;
  EXPECT_TRUE(b.is_free(5, now_));
  EXPECT_FALSE(b.take(5, now_));
  EXPECT_FALSE(has("5.1"));
}

// An owner that was only slow gives back what is its own.
TEST_F(LeaseFolder, AreNotLostByWhoeverTookThemOver) {
  Leases a = owner("a");
  Leases b = owner("b");
  ASSERT_TRUE(a.take(5, now_));
  b.look(now_);
  ASSERT_TRUE(b.take(5, now_ + kLasts));
  a.give_back(5);
  EXPECT_TRUE(has("5.1"));
  Leases c = owner("c");
  c.look(now_);
  EXPECT_FALSE(c.is_free(5, now_));
}

TEST_F(LeaseFolder, PassOverWhatIsNoLease) {
  for (const char* name : {"run.json", "x.0", "5", "5.", ".5", "5.0.1", "-1.0", "finished"}) {
    folder_.write(name, "");
  }
  fs::create_directories(folder_ / "6.0");
  Leases a = owner("a");
  a.look(now_);
  EXPECT_TRUE(a.is_free(5, now_) && a.take(5, now_));
  EXPECT_FALSE(a.take(6, now_));
  EXPECT_THROW(Leases(folder_ / "none", "a", kLasts).look(now_), Error);
}

TEST(ProcessNames, AreOfTheProcessAlone) {
  const std::string name = process_name();
  EXPECT_NE(name, process_name());
  EXPECT_EQ(name.find_first_of("./ "), std::string::npos);
}

}  // namespace
}  // namespace easel::cli
