// Items made ahead of time by threads and handed out in order.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace easel {

// Calls make(k, stop) for k = first, first + 1, ... on `num_workers` threads, at most two items a
// thread ahead of the consumer; with none, on the consumer's thread as items are asked for. A make
// that takes long looks at `stop`; what it returns or throws then is dropped. Destruction waits for
// the threads.
template <class Item>
class Prefetch {
 public:
  using Make = std::function<Item(int64_t number, const std::stop_token& stop)>;

  Prefetch(int64_t num_workers, int64_t first, Make make)
      : make_(std::move(make)), ahead_(2 * num_workers), to_make_(first), to_give_(first) {
    for (int64_t i = 0; i < num_workers; ++i) {
      workers_.emplace_back([this](const std::stop_token& stop) { work(stop); });
    }
  }

  ~Prefetch() {
    // All are told before the first is waited for.
    for (std::jthread& worker : workers_) worker.request_stop();
  }
  Prefetch(const Prefetch&) = delete;
  Prefetch& operator=(const Prefetch&) = delete;

  // Item number `first`, then the next. Where making it threw, throws that, and again if asked
  // again.
  Item next() {
    if (workers_.empty()) {
      Item item = make_(to_give_, {});
      ++to_give_;
      return item;
    }
    Made made;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return made_.contains(to_give_); });
      const auto found = made_.find(to_give_);
      if (found->second.error) std::rethrow_exception(found->second.error);
      made = std::move(found->second);
      made_.erase(found);
      ++to_give_;
    }
    changed_.notify_all();
    return std::move(made.item);
  }

 private:
  struct Made {
    Item item;
    std::exception_ptr error;
  };

  void work(const std::stop_token& stop) {
    while (true) {
      int64_t number = 0;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, stop, [&] { return to_make_ - to_give_ < ahead_; });
        if (stop.stop_requested()) return;
        number = to_make_++;
      }
      Made made;
      try {
        made.item = make_(number, stop);
      } catch (...) {
        made.error = std::current_exception();
      }
      if (stop.stop_requested()) return;
      {
        const std::lock_guard lock(mutex_);
        made_.emplace(number, std::move(made));
      }
      changed_.notify_all();
    }
  }

  Make make_;
  int64_t ahead_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  int64_t to_make_;  // the numbers before it are made or being made
  int64_t to_give_;
  std::map<int64_t, Made> made_;
  std::vector<std::jthread> workers_;  // last: they end before the rest does
};

}  // namespace easel
