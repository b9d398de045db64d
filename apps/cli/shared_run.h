// Which batches of a shared run this process draws, and when all are drawn.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <nlohmann/json.hpp>

#include "cli/leases.h"
#include "cli/share.h"
#include "cli/shared_folder.h"

namespace easel::cli {

// drawn() may be called from any thread, the rest from one.
class SharedRun {
 public:
  // `sizes` are the numbers of pictures of all batches, 0 where a batch cannot be drawn.
  SharedRun(const Share& share, const std::filesystem::path& outdir, std::vector<int64_t> sizes);
  ~SharedRun();  // gives back what is held
  SharedRun(const SharedRun&) = delete;
  SharedRun& operator=(const SharedRun&) = delete;

  // See SharedFolder.
  void join(const nlohmann::ordered_json& record);
  SharedFolder& folder() { return folder_; }

  int64_t num_pictures() const { return first_.back(); }
  int64_t num_there() const { return num_there_; }  // when this process joined
  // The number in the run of a batch's first picture.
  int64_t first_picture(size_t batch) const { return first_[batch]; }

  // Whether one of these batches is this process's to draw, or to say of that it cannot be, as far
  // as can be told without a claim to it.
  bool may_want(size_t first, size_t num) const;
  // Whether it is this process's to draw, now; the others leave it alone from here on.
  bool take(size_t batch);
  // All its pictures are in their files.
  void drawn(size_t batch);
  // Those of the batches that are this process's cannot be drawn here. Returns how many pictures
  // that are.
  int64_t give_up(size_t first, size_t num);

  // After the batches were gone through once: waits until one is free that others had, and returns
  // true, or until there is none left. `check` is called meanwhile and may throw.
  bool go_on(const std::function<void()>& check);
  // Where all pictures are there, one process calls `work` and the others wait for it. Returns
  // whether they are.
  bool finish(const std::function<void()>& check, const std::function<void()>& work);

 private:
  enum class State : char { Open, Done, GivenUp };

  bool is_mine(size_t batch) const;
  bool is_complete(size_t batch) const;
  void see_what_is_there();
  void keep_alive();

  Share share_;
  std::vector<int64_t> sizes_;
  std::vector<int64_t> first_;  // and the number of all pictures
  std::vector<State> states_;
  std::string name_;
  SharedFolder folder_;
  Leases leases_;
  int64_t num_there_ = 0;

  std::mutex mutex_;
  std::condition_variable stop_;
  bool stopping_ = false;
  std::thread alive_;  // last: it uses the leases
};

}  // namespace easel::cli
