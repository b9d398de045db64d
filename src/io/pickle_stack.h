// The stack of the pickle machine. Nothing is taken from below the last mark.
#pragma once

#include <cstddef>
#include <vector>

#include <easel/base/error.h>

#include "pickle_value.h"

namespace easel {

class PickleStack {
 public:
  void push(PickleId id) { ids_.push_back(id); }
  void mark() { marks_.push_back(ids_.size()); }
  size_t above_mark() const { return ids_.size() - (marks_.empty() ? 0 : marks_.back()); }

  PickleId top() const {
    if (above_mark() == 0) fail("the stack is empty");
    return ids_.back();
  }

  PickleId pop() {
    const PickleId id = top();
    ids_.pop_back();
    return id;
  }

  // In the order in which they were pushed.
  std::vector<PickleId> pop_count(size_t count) {
    if (above_mark() < count) fail("the stack is empty");
    const auto begin = ids_.end() - static_cast<std::ptrdiff_t>(count);
    std::vector<PickleId> items(begin, ids_.end());
    ids_.erase(begin, ids_.end());
    return items;
  }

  // Everything above the last mark, and the mark.
  std::vector<PickleId> pop_to_mark() {
    if (marks_.empty()) fail("there is no mark on the stack");
    auto items = pop_count(above_mark());
    marks_.pop_back();
    return items;
  }

 private:
  std::vector<PickleId> ids_;
  std::vector<size_t> marks_;
};

}  // namespace easel
