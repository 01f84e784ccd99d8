#include "kernels/cuda/attention_trial.hpp"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/base/log.hpp"
#include "kernels/cuda/event_timer.hpp"
#include "kernels/plans/plan_agreement.hpp"

namespace diffuse::cuda {
namespace {

// Random numbers that operands repeat: a prime, so that rows of operands are not alike.
constexpr std::int64_t kPattern = 262'139;
constexpr std::uint64_t kStep = 0x9E3779B97F4A7C15ULL;

// From -2 to 2 in steps of 1/64, which both dtypes hold.
std::uint16_t random_half(std::uint64_t i, DType dtype) {
  std::uint64_t x = (i + 1) * kStep;  // splitmix64
  x = (x ^ (x >> 30U)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27U)) * 0x94D049BB133111EBULL;
  x ^= x >> 31U;
  const float value = static_cast<float>(static_cast<int>(x % 257) - 128) / 64;
  return dtype == DType::f16 ? __half_raw(__float2half_rn(value)).x
                             : __nv_bfloat16_raw(__float2bfloat16_rn(value)).x;
}

/// Operands of a shape, rows as far apart as there, each in memory of its own.
class Trial {
 public:
  Trial(DeviceStream& stream, const AttentionShape& shape) : stream_(stream), shape_(shape) {
    std::vector<std::uint16_t> pattern;
    for (std::int64_t i = 0; i < kPattern; ++i) {
      pattern.push_back(random_half(static_cast<std::uint64_t>(i), shape.dtype));
    }
    const auto device_pattern = stream.allocate(pattern.size() * 2);
    copy(device_pattern.get(), pattern.data(), pattern.size() * 2, cudaMemcpyHostToDevice);
    op_.q = rows(shape.queries, shape.q_stride, device_pattern.get(), 0);
    op_.k = rows(shape.keys, shape.k_stride, device_pattern.get(), kPattern / 3);
    op_.v = rows(shape.keys, shape.v_stride, device_pattern.get(), kPattern / 2);
    op_.y = rows(shape.queries, shape.y_stride, device_pattern.get(), 0);
    op_.heads = static_cast<int>(shape.heads);
    op_.scale = 1 / std::sqrt(static_cast<float>(shape.head_dim));
    op_.causal = shape.causal;
    stream.wait();  // the pattern on the host
  }

  [[nodiscard]] const AttentionOp& op() const { return op_; }

  /// What a candidate writes over NaN; nothing where it does not apply.
  std::optional<std::vector<std::byte>> output_of(const AttentionCandidate& candidate) {
    constexpr int kNan = 0xFF;
    check(cudaMemsetAsync(op_.y.data<void>(), kNan, output_bytes(), stream_.get()),
          "filling an operand");
    if (!candidate.run(op_)) return std::nullopt;
    std::vector<std::byte> wide(output_bytes());
    copy(wide.data(), op_.y.data<void>(), wide.size(), cudaMemcpyDeviceToHost);
    stream_.wait();
    // The rows alone, without what lies between them.
    const auto row = static_cast<std::size_t>(shape_.heads * shape_.head_dim) * 2;
    std::vector<std::byte> packed;
    for (std::size_t at = 0; at < wide.size();
         at += static_cast<std::size_t>(shape_.y_stride) * 2) {
      packed.insert(packed.end(), wide.begin() + static_cast<std::ptrdiff_t>(at),
                    wide.begin() + static_cast<std::ptrdiff_t>(at + row));
    }
    return packed;
  }

 private:
  [[nodiscard]] std::size_t output_bytes() const {
    return static_cast<std::size_t>(shape_.batch * shape_.queries * shape_.y_stride) * 2;
  }

  void copy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
    check(cudaMemcpyAsync(to, from, bytes, kind, stream_.get()), "copying an operand");
  }

  Tensor rows(std::int64_t count, std::int64_t stride, const void* pattern, std::int64_t first) {
    const std::int64_t elements = shape_.batch * count * stride;
    auto storage = std::make_shared<Storage>();
    storage->bytes = static_cast<std::size_t>(elements) * 2;
    storage->keep_alive = stream_.allocate(storage->bytes);
    storage->data = static_cast<std::byte*>(storage->keep_alive.get());
    std::int64_t from = first;
    for (std::int64_t at = 0; at < elements;) {
      const std::int64_t length = std::min(kPattern - from, elements - at);
      copy(storage->data + 2 * at, static_cast<const std::byte*>(pattern) + 2 * from,
           static_cast<std::size_t>(length) * 2, cudaMemcpyDeviceToDevice);
      at += length;
      from = 0;
    }
    return Tensor(storage, shape_.dtype, {shape_.batch, count, stride})
        .columns(0, shape_.heads * shape_.head_dim);
  }

  DeviceStream& stream_;
  AttentionShape shape_;
  AttentionOp op_;
};

}  // namespace

std::optional<std::size_t> fastest_attention(DeviceStream& stream, const AttentionShape& shape,
                                             const std::vector<AttentionCandidate>& candidates) {
  Trial trial(stream, shape);
  std::vector<bool> usable(candidates.size(), true);
  const auto trusted = trial.output_of(candidates.front());
  for (std::size_t i = 1; i < candidates.size() && trusted; ++i) {
    const auto output = trial.output_of(candidates[i]);
    usable[i] = output.has_value();
    if (!output) continue;
    const std::string problem = disagreement(*output, *trusted, shape.dtype);
    if (problem.empty()) continue;
    usable[i] = false;
    log()->warn(
        "{} is not used for attention of {} queries and {} keys, {} heads of {}, {}: its result is "
        "not that of {} ({})",
        candidates[i].name, shape.queries, shape.keys, shape.heads, shape.head_dim,
        name_of(shape.dtype), candidates.front().name, problem);
  }
  EventTimer timer(stream,
                   [&](std::size_t i) { return usable[i] && candidates[i].run(trial.op()); });
  return fastest(candidates.size(), timer);
}

}  // namespace diffuse::cuda
