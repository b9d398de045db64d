// Leases on pieces of work, which are numbers: files in a folder that several processes see, on
// one machine or over NFS.
//
//   17.0  made by whoever took piece 17 first, with O_EXCL, so by one process alone
//   17.1  made by whoever took it over after that one was heard of no more
//
// The last file of a piece is its lease. Its owner sets the file's time to now again and again.
// Whoever has seen the same time for as long as leases last takes the piece over, by the next
// number, which again one process alone can make. Only changes of a time are looked for, measured
// by the monotonic clock of the machine that looks: what time other machines think it is does not
// matter. Nothing is renamed, replaced or locked, so there is no moment at which a lease is half
// there.
//
// A lease saves work and no more than that: a process that was only held up may be at a piece
// together with the one that took it over. What they make must bear being made twice.
#pragma once

#include <chrono>
#include <cstdint>
#include <ctime>
#include <filesystem>
#include <map>
#include <mutex>
#include <string>

namespace easel::cli {

// renew() and give_back() may be called from any thread, the rest from one.
class Leases {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using Span = std::chrono::steady_clock::duration;

  // `owner` is written into the files, for people. The folder must be there.
  Leases(std::filesystem::path folder, std::string owner, Span lasts);
  ~Leases();  // gives back what is held
  Leases(const Leases&) = delete;
  Leases& operator=(const Leases&) = delete;

  // Sees what leases there are at `now`. Throws Error where the folder cannot be read.
  void look(Time now);
  // Whether nobody has the piece, or its owner was heard of no more, as of the last look().
  bool is_free(int64_t piece, Time now) const;
  // Takes a piece that is free; false where another process was quicker, or its owner is back.
  bool take(int64_t piece, Time now);
  void give_back(int64_t piece);
  // The sign of life, for all that is held.
  void renew();

 private:
  struct Seen {
    int64_t generation = 0;
    struct timespec time {};
    Time since{};  // when this time was seen first
  };

  std::filesystem::path path_of(int64_t piece, int64_t generation) const;
  void see(int64_t piece, int64_t generation, Time now);

  std::filesystem::path folder_;
  std::string owner_;
  Span lasts_;
  std::map<int64_t, Seen> seen_;
  mutable std::mutex mutex_;
  std::map<int64_t, int64_t> held_;  // the generation of each piece
};

// "HOST-PID-RANDOM": no other process has this name.
std::string process_name();

}  // namespace easel::cli
