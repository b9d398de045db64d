// Encodes and writes pictures on a thread of its own, so that drawing goes on meanwhile.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

namespace easel::cli {

// Runs jobs in order on one thread. The queue is bounded: a job holds a picture.
class PictureWriter {
 public:
  explicit PictureWriter(size_t capacity = 8);
  // Runs what is queued, unless a job has failed.
  ~PictureWriter();
  PictureWriter(const PictureWriter&) = delete;
  PictureWriter& operator=(const PictureWriter&) = delete;

  // Queues a job, and waits while the queue is full. Throws what an earlier job threw, once.
  void push(std::function<void()> job);
  // Throws what an earlier job threw, once; a failed writer runs no more jobs.
  void check();
  // Waits for all jobs, then check().
  void finish();

 private:
  void work();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> jobs_;
  size_t capacity_;
  bool busy_ = false;
  bool stopping_ = false;
  bool failed_ = false;
  std::exception_ptr error_;
  std::thread thread_;
};

}  // namespace easel::cli
