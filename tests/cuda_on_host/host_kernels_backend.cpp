#include "tests/cuda_on_host/host_kernels_backend.hpp"

#include <cstdlib>
#include <cstring>
#include <limits>

#include "core/base/error.hpp"
#include "core/tensor/shape_backend.hpp"
#include "kernels/cuda/op_kernels.hpp"

namespace diffuse::test {
namespace {

constexpr std::size_t kAlignment = 256;  // as cudaMalloc's

std::shared_ptr<void> nan_memory(std::size_t bytes) {
  const std::size_t size = (bytes + kAlignment) / kAlignment * kAlignment;
  void* memory = std::aligned_alloc(kAlignment, size);
  std::memset(memory, 0xFF, size);
  return {memory, [](void* p) { std::free(p); }};
}

}  // namespace

std::byte* HostKernelsBackend::FreshWorkspace::reserve(std::size_t bytes) {
  memory_ = nan_memory(bytes);
  return static_cast<std::byte*>(memory_.get());
}

HostKernelsBackend::HostKernelsBackend(bool tensor_cores, bool warpgroups) {
  context_.workspace = &workspace_;
  context_.tensor_cores = tensor_cores;
  context_.warpgroups = warpgroups;
}

std::shared_ptr<void> HostKernelsBackend::allocate(std::size_t bytes) { return nan_memory(bytes); }

void HostKernelsBackend::write(std::span<const std::byte> host, const Tensor& to) {
  if (!host.empty()) std::memcpy(to.data<std::byte>(), host.data(), host.size());
}

void HostKernelsBackend::read(const Tensor& from, std::span<std::byte> host) {
  if (!host.empty()) std::memcpy(host.data(), from.data<std::byte>(), host.size());
}

Weight HostKernelsBackend::prepare(std::span<const StoredWeight> parts, const WeightUse& use) {
  const Shape shape = stacked_shape(parts, use);
  auto weight = std::make_shared<cuda::DeviceWeight>();
  weight->data = nan_memory(static_cast<std::size_t>(shape.elements()) * size_of(use.dtype));
  unsigned long long first_bad = std::numeric_limits<unsigned long long>::max();
  std::int64_t placed = 0;
  for (const StoredWeight& part : parts) {
    // Chunks of an odd size, so that some end inside of a kernel.
    constexpr std::int64_t kChunk = 4099;
    const std::int64_t count = part.shape.elements();
    for (std::int64_t first = 0; first < count; first += kChunk) {
      cuda::StoredChunk chunk;
      chunk.first = first;
      chunk.count = std::min(kChunk, count - first);
      const std::size_t bytes = static_cast<std::size_t>(chunk.count) * size_of(part.dtype);
      const auto staged = nan_memory(bytes);
      std::memcpy(staged.get(),
                  part.bytes.data() + static_cast<std::size_t>(first) * size_of(part.dtype), bytes);
      chunk.from = staged.get();
      chunk.from_dtype = part.dtype;
      if (use.role == WeightRole::conv_kernel) {
        chunk.in = shape[1];
        chunk.kernel = shape[2] * shape[3];
      } else {
        chunk.in = shape[1];
      }
      chunk.to = static_cast<std::byte*>(weight->data.get()) +
                 static_cast<std::size_t>(placed) * size_of(use.dtype);
      chunk.to_dtype = use.dtype;
      chunk.first_bad = &first_bad;
      cuda::convert_weight(chunk, context_);
    }
    placed += count;
  }
  if (first_bad != std::numeric_limits<unsigned long long>::max()) {
    throw InputError(ExitCode::bad_model,
                     "non-finite value at element " + std::to_string(first_bad));
  }
  return {shape, use, weight};
}

void HostKernelsBackend::execute(const Op& op) {
  const auto* attention = std::get_if<AttentionOp>(&op);
  if (attention != nullptr && cuda::run_wgmma_attention(*attention, context_)) return;
  std::visit([this](const auto& concrete) { cuda::run(concrete, context_); }, op);
}

}  // namespace diffuse::test
