// Collects everything that is wrong with a file's tensors, for one message.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include <easel/checkpoint/weights.h>

namespace easel {

class WeightReport {
 public:
  void expect(Part part) { ++expected_[part]; }
  void missing(const std::string& name, Part part) { missing_[part].push_back(name); }
  void misshapen(const std::string& name, at::IntArrayRef got, at::IntArrayRef expected);
  void wrong_type(const std::string& name, at::ScalarType got);
  void unexpected(const std::string& name) { unexpected_.push_back(name); }
  // A tensor that no rule asked for: unexpected, foreign or known to be harmless.
  void leftover(const std::string& name, const WeightSource& source);

  // Throws one Error that lists it all; `hint` ends the message.
  void throw_if_any(const std::string& file, const std::string& hint) const;
  // Logs the groups of tensors that were left aside.
  void mention_foreign(const std::string& file, const Log& log) const;

 private:
  std::map<Part, int64_t> expected_;
  std::map<Part, std::vector<std::string>> missing_;
  std::vector<std::string> misshapen_, wrong_type_, unexpected_;
  std::map<std::string, int64_t> foreign_;  // first component of the name: how many
};

// A sentence on what the files seem to be, where their tensors do not fit the config; may be empty.
std::string describe_mismatch(const ModelConfig& config, const std::vector<WeightSource>& sources);

}  // namespace easel
