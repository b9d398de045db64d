#include "easel/train/communicator.h"

#include <chrono>
#include <exception>
#include <map>
#include <tuple>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
// LibTorch brings Gloo's code but not its headers, which its own header includes.
#if defined(USE_C10D_GLOO) && __has_include(<gloo/algorithm.h>)
#define EASEL_HAS_GLOO
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#endif
// Nor NCCL's: they come from its wheel or from a CUDA toolkit.
#if defined(USE_C10D_NCCL) && __has_include(<nccl.h>)
#define EASEL_HAS_NCCL
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif

#include <easel/base/error.h>

#include "local_address.h"

namespace easel {
namespace {

// Gradients travel in pieces of about this size: large enough for the network, small enough for the
// copy that flattening makes.
constexpr int64_t kBucketBytes = int64_t{25} << 20;

// Calls `visit` with groups of tensors of one dtype, of at most a bucket's bytes (or one tensor).
template <class Visit>
void for_each_bucket(const std::vector<Tensor>& tensors, Visit visit) {
  std::map<at::ScalarType, std::pair<std::vector<Tensor>, int64_t>> open;
  for (const Tensor& tensor : tensors) {
    auto& [bucket, bytes] = open[tensor.scalar_type()];
    const int64_t size = static_cast<int64_t>(tensor.nbytes());
    if (!bucket.empty() && bytes + size > kBucketBytes) {
      visit(bucket);
      bucket.clear();
      bytes = 0;
    }
    bucket.push_back(tensor);
    bytes += size;
  }
  for (auto& [dtype, bucket] : open) {
    if (!bucket.first.empty()) visit(bucket.first);
  }
}

Tensor flatten(const std::vector<Tensor>& tensors) {
  std::vector<Tensor> flat;
  for (const Tensor& tensor : tensors) flat.push_back(tensor.reshape({-1}));
  return at::cat(flat);
}

void unflatten(const Tensor& flat, const std::vector<Tensor>& tensors) {
  int64_t at = 0;
  for (const Tensor& tensor : tensors) {
    Tensor target = tensor;
    target.copy_(flat.narrow(0, at, tensor.numel()).view(tensor.sizes()));
    at += tensor.numel();
  }
}

// What the backend says, without its stack.
std::string reason(const std::exception& error) {
  const auto* known = dynamic_cast<const c10::Error*>(&error);
  return known != nullptr ? known->what_without_backtrace() : error.what();
}

// Waits for an operation in which every process takes part.
void wait_for(const c10::intrusive_ptr<c10d::Work>& work) {
  try {
    work->wait();
  } catch (const std::exception& error) {
    fail("another process of this run has ended or cannot be reached any more ({})", reason(error));
  }
}

// The first process validates, draws and saves while the others wait for its next step.
constexpr std::chrono::hours kPatience(24);

c10::intrusive_ptr<c10d::Backend> make_group(const c10::intrusive_ptr<c10d::Store>& store,
                                             const ProcessRank& place, at::Device device) {
  [[maybe_unused]] const auto rank = static_cast<int>(place.rank);
  [[maybe_unused]] const auto world = static_cast<int>(place.world);
  if (device.is_cuda()) {
#ifdef EASEL_HAS_NCCL
    auto options = c10d::ProcessGroupNCCL::Options::create();
    options->timeout = kPatience;
    return c10::make_intrusive<c10d::ProcessGroupNCCL>(store, rank, world, options);
#else
    fail(
        "this Easel was built without NCCL (LibTorch with it and nccl.h are needed): train in one "
        "process, or on CPUs");
#endif
  }
#ifdef EASEL_HAS_GLOO
  auto options = c10d::ProcessGroupGloo::Options::create(kPatience);
  // By the name of this machine, as Gloo does it, another network may be meant, or none at all.
  const std::string address = local_address_towards(place.master_address);
  options->devices.push_back(address.empty()
                                 ? c10d::ProcessGroupGloo::createDefaultDevice()
                                 : c10d::ProcessGroupGloo::createDeviceForHostname(address));
  return c10::make_intrusive<c10d::ProcessGroupGloo>(store, rank, world, options);
#else
  fail(
      "Easel was built without Gloo's headers, which several processes on CPUs need: install "
      "libgloo-dev and build again, or train in one process");
#endif
}

}  // namespace

struct Communicator::Backend {
  c10::intrusive_ptr<c10d::Store> store;
  c10::intrusive_ptr<c10d::Backend> group;

  void all_reduce(Tensor& tensor, c10d::ReduceOp::RedOpType operation) {
    std::vector<Tensor> tensors{tensor};
    c10d::AllreduceOptions options;
    options.reduceOp = operation;
    wait_for(group->allreduce(tensors, options));
  }
};

Communicator::Communicator(const ProcessRank& place, at::Device device, int64_t timeout_seconds)
    : place_(place), device_(device) {
  if (place.world < 1 || place.rank < 0 || place.rank >= place.world) {
    fail_usage("rank {} of {} processes; it is 0 to one less than their number", place.rank,
               place.world);
  }
  if (place.world == 1) return;
  if (place.master_port < 1 || place.master_port > 65535) {
    fail_usage("port {} of the master process; it is 1 to 65535", place.master_port);
  }
  const std::chrono::seconds timeout(timeout_seconds);
  try {
    auto backend = std::make_unique<Backend>();
    c10d::TCPStoreOptions store;
    store.port = static_cast<uint16_t>(place.master_port);
    store.isServer = place.rank == 0 && !place.store_is_served;
    store.numWorkers = static_cast<size_t>(place.world);
    store.waitWorkers = !place.store_is_served;
    store.timeout = timeout;
    backend->store = c10::make_intrusive<c10d::PrefixStore>(
        "easel", c10::make_intrusive<c10d::TCPStore>(place.master_address, store));
    backend->group = make_group(backend->store, place, device);
    backend_ = std::move(backend);
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    fail(
        "process {} of {} cannot meet the others at {}:{} ({}); check that all were started and "
        "that the address can be reached",
        place.rank, place.world, place.master_address, place.master_port, reason(error));
  }
}

Communicator::~Communicator() = default;

void Communicator::average(const std::vector<Tensor>& tensors) {
  if (!backend_) return;
  const at::NoGradGuard no_grad;
  for_each_bucket(tensors, [&](const std::vector<Tensor>& bucket) {
    Tensor flat = flatten(bucket);
    backend_->all_reduce(flat, c10d::ReduceOp::SUM);
    flat.div_(place_.world);
    unflatten(flat, bucket);
  });
}

void Communicator::broadcast(const std::vector<Tensor>& tensors) {
  if (!backend_) return;
  const at::NoGradGuard no_grad;
  for_each_bucket(tensors, [&](const std::vector<Tensor>& bucket) {
    std::vector<Tensor> flat{flatten(bucket)};
    wait_for(backend_->group->broadcast(flat));
    unflatten(flat.front(), bucket);
  });
}

bool Communicator::any(bool value) {
  if (!backend_) return value;
  Tensor flag = at::full({1}, value ? 1 : 0, at::TensorOptions().device(device_).dtype(at::kInt));
  backend_->all_reduce(flag, c10d::ReduceOp::MAX);
  return flag.item<int>() != 0;
}

void Communicator::barrier() { any(false); }

}  // namespace easel
