#include "kernels/cuda/cuda_backend.hpp"

#include <cstdlib>
#include <string_view>
#include <type_traits>
#include <utility>

#include "core/base/error.hpp"
#include "kernels/cuda/op_kernels.hpp"

namespace diffuse::cuda {
namespace {

int usable_device(int index) {
  if (const std::string problem = problem_of_device(index); !problem.empty()) {
    throw DeviceError(problem);
  }
  return visible_device(index);
}

bool wants_plain_kernels() {
  const char* value = std::getenv("DIFFUSE_BATCH_CUDA_PLAIN");
  return value != nullptr && std::string_view(value) == "1";
}

}  // namespace

CudaBackend::CudaBackend(int device_index, PlanRule rule)
    : CudaBackend(usable_device(device_index), rule, nullptr) {}

CudaBackend::CudaBackend(int device, PlanRule rule, std::shared_ptr<PlanTable> table)
    : stream_(std::make_shared<DeviceStream>(device)),
      workspace_(*stream_),
      staging_(*stream_),
      reads_(*stream_),
      plain_(wants_plain_kernels()),
      plans_(*stream_, workspace_, rule, std::move(table)),
      graphs_(*stream_) {
  check(cudaGetDeviceProperties(&properties_, stream_->device()), "asking for its properties");
  if (!kernels_run_here()) {
    const std::string capability =
        std::to_string(properties_.major) + std::to_string(properties_.minor);
    throw DeviceError(std::string("this build has no kernels for ") + properties_.name +
                      " (compute capability " + capability +
                      "); build with -DDIFFUSE_CUDA_ARCHITECTURES=" + capability +
                      ", update the driver, or use --device cpu");
  }
  context_.stream = stream_->get();
  context_.workspace = &workspace_;
  context_.tensor_cores = properties_.major >= 8;
}

CudaBackend::~CudaBackend() {
  // Memory goes back in the stream's order; plans must not go while they run.
  static_cast<void>(cudaStreamSynchronize(stream_->get()));
}

std::string CudaBackend::numerics() const {
  int runtime = 0;
  check(cudaRuntimeGetVersion(&runtime), "asking for the runtime's version");
  return std::string("cuda ") + properties_.name + " sm_" + std::to_string(properties_.major) +
         std::to_string(properties_.minor) + " runtime " + std::to_string(runtime / 1000) + "." +
         std::to_string(runtime % 1000 / 10) +
         (plain_ ? " plain kernels" : " " + plans_.numerics());
}

std::string CudaBackend::refuses(DType dtype) const {
  if (dtype == DType::f32 || dtype == DType::f16) return {};
  if (dtype == DType::bf16) {
    if (properties_.major >= 8) return {};
    return std::string("bf16 needs a GPU of compute capability 8.0 or newer; ") + properties_.name +
           " has " + std::to_string(properties_.major) + "." + std::to_string(properties_.minor) +
           ": use --dtype f16 or f32";
  }
  return std::string(diffuse::name_of(dtype)) + " is no dtype to compute in: use f16, bf16 or f32";
}

// The current device belongs to the thread, and the backend may be made in one and used in another.
void CudaBackend::use_device() const {
  check(cudaSetDevice(stream_->device()), "choosing the GPU");
}

std::shared_ptr<void> CudaBackend::allocate(std::size_t bytes) {
  use_device();
  return stream_->allocate(bytes);
}

void CudaBackend::write(std::span<const std::byte> host, const Tensor& to) {
  use_device();
  staging_.write(host.data(), to.data<void>(), host.size());
}

void CudaBackend::read(const Tensor& from, std::span<std::byte> host) {
  use_device();
  staging_.read(from.data<void>(), host.data(), host.size());
}

std::unique_ptr<PendingRead> CudaBackend::begin_read(const Tensor& from) {
  use_device();
  return reads_.begin(from.data<void>(), from.bytes());
}

void CudaBackend::execute(const Op& op) {
  use_device();
  std::visit(
      [this](const auto& concrete) {
        using Concrete = std::decay_t<decltype(concrete)>;
        if constexpr (std::is_same_v<Concrete, Conv2dOp>) {
          if (!plain_ && plans_.run(concrete, context_)) return;
        }
        if constexpr (std::is_same_v<Concrete, LinearOp>) {
          if (!plain_ && plans_.run(concrete, context_)) return;
        }
        if constexpr (std::is_same_v<Concrete, AttentionOp>) {
          if (plain_) return run_plain_attention(concrete, context_);
          if (plans_.run(concrete, context_)) return;
        }
        cuda::run(concrete, context_);
      },
      op);
}

bool CudaBackend::replay(std::unique_ptr<Replay>& kept, const std::function<bool()>& body) {
  use_device();
  return graphs_.run(kept, body);
}

void CudaBackend::wait() {
  use_device();
  stream_->wait();
}

std::unique_ptr<Backend> CudaBackend::beside() {
  return std::unique_ptr<Backend>(
      new CudaBackend(stream_->device(), plans_.rule(), plans_.shared_table()));
}

}  // namespace diffuse::cuda
