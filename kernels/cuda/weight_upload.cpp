#include <algorithm>
#include <limits>

#include "core/base/error.hpp"
#include "core/tensor/shape_backend.hpp"
#include "kernels/cuda/cuda_backend.hpp"
#include "kernels/cuda/op_kernels.hpp"

namespace diffuse::cuda {
namespace {

constexpr unsigned long long kNone = std::numeric_limits<unsigned long long>::max();

}  // namespace

Weight CudaBackend::prepare(std::span<const StoredWeight> parts, const WeightUse& use) {
  use_device();
  if (const std::string why = refuses(use.dtype); !why.empty()) throw DeviceError(why);
  const Shape shape = stacked_shape(parts, use);
  for (std::size_t i = 0; i < shape.rank(); ++i) {
    if (shape[i] == 0) throw ShapeError("prepare: the weight " + shape.str() + " is empty");
  }
  auto weight = std::make_shared<DeviceWeight>();
  weight->data = stream_->allocate(static_cast<std::size_t>(shape.elements()) * size_of(use.dtype));

  // As stored, piece by piece: one kernel converts, lays out and looks for values that are not
  // finite.
  const std::shared_ptr<void> first_bad = stream_->allocate(parts.size() * sizeof(kNone));
  check(cudaMemsetAsync(first_bad.get(), 0xFF, parts.size() * sizeof(kNone), stream_->get()),
        "loading weights");
  StoredChunk chunk;
  chunk.in = shape[1];
  chunk.kernel = use.role == WeightRole::conv_kernel ? shape[2] * shape[3] : 1;
  chunk.to_dtype = use.dtype;
  std::int64_t placed = 0;
  for (std::size_t p = 0; p < parts.size(); ++p) {
    const StoredWeight& part = parts[p];
    const std::size_t element = size_of(part.dtype);
    const std::int64_t count = part.shape.elements();
    const auto step = static_cast<std::int64_t>(Staging::kBytes / element);
    const std::shared_ptr<void> stored =
        stream_->allocate(static_cast<std::size_t>(std::min(step, count)) * element);
    chunk.from = stored.get();
    chunk.from_dtype = part.dtype;
    chunk.to = static_cast<std::byte*>(weight->data.get()) +
               static_cast<std::size_t>(placed) * size_of(use.dtype);
    chunk.first_bad = static_cast<unsigned long long*>(first_bad.get()) + p;
    for (chunk.first = 0; chunk.first < count; chunk.first += step) {
      chunk.count = std::min(step, count - chunk.first);
      staging_.write(part.bytes.data() + static_cast<std::size_t>(chunk.first) * element,
                     stored.get(), static_cast<std::size_t>(chunk.count) * element);
      convert_weight(chunk, context_);
    }
    placed += count;
  }

  for (std::size_t p = 0; p < parts.size(); ++p) {
    unsigned long long bad = kNone;
    staging_.read(static_cast<unsigned long long*>(first_bad.get()) + p,
                  reinterpret_cast<std::byte*>(&bad), sizeof(bad));
    if (bad != kNone) {
      throw InputError(ExitCode::bad_model, "non-finite value at element " + std::to_string(bad));
    }
  }
  return {shape, use, weight};
}

}  // namespace diffuse::cuda
