#include "cli/shared_run.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <utility>

namespace easel::cli {
namespace {

using Clock = std::chrono::steady_clock;

// Signs of life in the time that leases last: a file server's clients may see one a minute late.
constexpr int kSigns = 6;

// Looks again after a while, which gets longer.
class Pauses {
 public:
  explicit Pauses(Leases::Span longest) : longest_(longest) {}

  void wait(const std::function<void()>& check) {
    const auto end = Clock::now() + next_;
    next_ = std::min(2 * next_, longest_);
    while (Clock::now() < end) {
      check();
      std::this_thread::sleep_for(std::min<Leases::Span>(end - Clock::now(), kCheck));
    }
    check();
  }

 private:
  static constexpr std::chrono::milliseconds kCheck{100};
  Leases::Span longest_;
  Leases::Span next_ = std::chrono::milliseconds(50);
};

int64_t piece_of(size_t batch) { return kFinishing + 1 + static_cast<int64_t>(batch); }

std::vector<int64_t> running_sums(const std::vector<int64_t>& sizes) {
  std::vector<int64_t> sums{0};
  for (const int64_t size : sizes) sums.push_back(sums.back() + size);
  return sums;
}

}  // namespace

SharedRun::SharedRun(const Share& share, const std::filesystem::path& outdir,
                     std::vector<int64_t> sizes)
    : share_(share),
      sizes_(std::move(sizes)),
      first_(running_sums(sizes_)),
      states_(sizes_.size(), State::Open),
      name_(process_name()),
      folder_(outdir, name_),
      leases_(folder_.share(), name_, std::chrono::seconds(share.lease_seconds)) {}

SharedRun::~SharedRun() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stop_.notify_all();
  if (alive_.joinable()) alive_.join();
}

void SharedRun::join(const nlohmann::ordered_json& record) {
  folder_.join(record);
  see_what_is_there();
  for (size_t batch = 0; batch < states_.size(); ++batch) {
    if (states_[batch] == State::Done) num_there_ += sizes_[batch];
  }
  leases_.look(Clock::now());
  // Signals go to the main thread.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  alive_ = std::thread([this] { keep_alive(); });
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void SharedRun::keep_alive() {
  const auto every = Leases::Span(std::chrono::seconds(share_.lease_seconds)) / kSigns;
  std::unique_lock lock(mutex_);
  while (!stop_.wait_for(lock, every, [this] { return stopping_; })) leases_.renew();
}

// Of a part: which batches it has. Of a folder all are anybody's.
bool SharedRun::is_mine(size_t batch) const {
  return share_.kind == Share::Kind::Folder ||
         static_cast<int64_t>(batch) % share_.parts == share_.part;
}

bool SharedRun::is_complete(size_t batch) const {
  for (int64_t number = first_[batch]; number < first_[batch + 1]; ++number) {
    if (!folder_.is_there(number)) return false;
  }
  return true;
}

void SharedRun::see_what_is_there() {
  const std::vector<bool> there = folder_.are_there(num_pictures());
  for (size_t batch = 0; batch < states_.size(); ++batch) {
    const auto from = there.begin() + first_[batch];
    const auto to = there.begin() + first_[batch + 1];
    if (sizes_[batch] > 0 && std::find(from, to, false) == to) states_[batch] = State::Done;
  }
}

bool SharedRun::may_want(size_t first, size_t num) const {
  // What cannot be drawn is said once, by whoever has its first batch.
  if (sizes_[first] == 0) return states_[first] == State::Open && is_mine(first);
  const auto now = Clock::now();
  for (size_t batch = first; batch < first + num; ++batch) {
    if (states_[batch] != State::Open || !is_mine(batch)) continue;
    if (share_.kind == Share::Kind::Part) return true;
    if (leases_.is_free(piece_of(batch), now)) return true;
  }
  return false;
}

bool SharedRun::take(size_t batch) {
  if (states_[batch] != State::Open || !is_mine(batch)) return false;
  const auto done = [&] {
    if (!is_complete(batch)) return false;
    states_[batch] = State::Done;
    return true;
  };
  if (done()) return false;
  if (share_.kind == Share::Kind::Folder) {
    const int64_t piece = piece_of(batch);
    const auto now = Clock::now();
    if (!leases_.is_free(piece, now)) return false;
    if (!leases_.take(piece, now)) {
      leases_.look(now);
      return false;
    }
    // Somebody may have drawn it between the look and the claim.
    if (done()) {
      leases_.give_back(piece);
      return false;
    }
  }
  states_[batch] = State::Done;
  return true;
}

void SharedRun::drawn(size_t batch) { leases_.give_back(piece_of(batch)); }

int64_t SharedRun::give_up(size_t first, size_t num) {
  int64_t pictures = 0;
  for (size_t batch = first; batch < first + num; ++batch) {
    if (!is_mine(batch) || states_[batch] == State::GivenUp) continue;
    if (states_[batch] == State::Done && is_complete(batch)) continue;
    states_[batch] = State::GivenUp;
    pictures += sizes_[batch];
    leases_.give_back(piece_of(batch));
  }
  return pictures;
}

bool SharedRun::go_on(const std::function<void()>& check) {
  if (share_.kind == Share::Kind::Part) return false;
  Pauses pauses(std::chrono::seconds(share_.lease_seconds) / (2 * kSigns));
  while (true) {
    const auto now = Clock::now();
    leases_.look(now);
    bool is_open = false;
    for (size_t batch = 0; batch < states_.size(); ++batch) {
      if (states_[batch] != State::Open || sizes_[batch] == 0) continue;
      if (is_complete(batch)) {
        states_[batch] = State::Done;
        continue;
      }
      is_open = true;
      if (leases_.is_free(piece_of(batch), now)) return true;
    }
    if (!is_open) return false;
    pauses.wait(check);
  }
}

bool SharedRun::finish(const std::function<void()>& check, const std::function<void()>& work) {
  const std::vector<bool> there = folder_.are_there(num_pictures());
  if (there.empty() || std::find(there.begin(), there.end(), false) != there.end()) return false;
  Pauses pauses(std::chrono::seconds(share_.lease_seconds) / (2 * kSigns));
  while (!folder_.is_finished()) {
    const auto now = Clock::now();
    leases_.look(now);
    if (leases_.is_free(kFinishing, now) && leases_.take(kFinishing, now)) {
      if (!folder_.is_finished()) work();
      leases_.give_back(kFinishing);
      break;
    }
    pauses.wait(check);
  }
  return true;
}

}  // namespace easel::cli
