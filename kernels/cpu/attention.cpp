#include <algorithm>

#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/cpu/parallel.hpp"

namespace diffuse::cpu {
namespace {

constexpr std::size_t round_up(std::int64_t bytes) {
  return (static_cast<std::size_t>(bytes) + 63) / 64 * 64;
}

// First element of entry n, head h.
const std::byte* head_of(const Tensor& t, std::int64_t n, std::int64_t h, std::int64_t head_dim) {
  const std::int64_t offset = n * t.shape()[1] * t.row_stride() + h * head_dim;
  return t.data<std::byte>() + static_cast<std::size_t>(offset) * size_of(t.dtype());
}

// Query rows of a block: as many as the kernel takes, fewer where threads would have too few blocks
// to share evenly. No row's result depends on this.
std::int64_t block_rows(const AttentionKernels& attention, std::int64_t queries,
                        std::int64_t heads) {
  std::int64_t rows = attention.query_block;
  while (rows % (2 * attention.query_unit) == 0 &&
         heads * blocks_of(queries, rows) < std::int64_t{4} * max_threads()) {
    rows /= 2;
  }
  return rows;
}

// A call: keys and values of every head are packed, then blocks of queries meet them.
class Run {
 public:
  Run(const AttentionOp& op, const AttentionKernels& kernels, Scratch& scratch)
      : op_(op),
        kernels_(kernels),
        batch_(op.q.shape()[0]),
        queries_(op.q.shape()[1]),
        keys_(op.k.shape()[1]),
        head_dim_(op.q.shape()[2] / op.heads),
        heads_(batch_ * op.heads),
        rows_(block_rows(kernels, queries_, heads_)),
        blocks_(blocks_of(queries_, rows_)),
        packed_bytes_(round_up(kernels.packed_bytes(keys_, head_dim_))),
        state_bytes_(round_up(kernels.scratch_bytes(head_dim_))) {
    const std::size_t packed = static_cast<std::size_t>(heads_) * packed_bytes_;
    packed_keys_ =
        scratch.reserve(2 * packed + static_cast<std::size_t>(max_threads()) * state_bytes_);
    packed_values_ = packed_keys_ + packed;
    states_ = packed_values_ + packed;
  }

  void all() const {
    parallel_for(2 * heads_, [&](std::int64_t item, int) { pack(item / 2, item % 2 == 0); });
    if (!heads_inside()) {
      return parallel_for(heads_ * blocks_, [&](std::int64_t item, int thread) {
        meet(item / blocks_, item % blocks_, thread);
      });
    }
    parallel_for(batch_ * blocks_, [&](std::int64_t item, int thread) {
      const std::int64_t first = item / blocks_ * op_.heads;
      for (std::int64_t h = 0; h < op_.heads; ++h) meet(first + h, item % blocks_, thread);
    });
  }

 private:
  // A query's heads lie together: they are read and written in one go where the keys of all heads
  // stay in a core's second cache. Else the keys of one head shall.
  [[nodiscard]] bool heads_inside() const {
    constexpr std::size_t kNearBytes = std::size_t{512} << 10;
    return 2 * static_cast<std::size_t>(op_.heads) * packed_bytes_ <= kNearBytes &&
           batch_ * blocks_ >= std::int64_t{4} * max_threads();
  }

  // Heads are counted over all pictures.
  [[nodiscard]] const std::byte* at(const Tensor& t, std::int64_t head, std::int64_t row) const {
    return head_of(t, head / op_.heads, head % op_.heads, head_dim_) +
           static_cast<std::size_t>(row * t.row_stride()) * size_of(t.dtype());
  }
  [[nodiscard]] std::byte* packed(std::byte* all, std::int64_t head) const {
    return all + static_cast<std::size_t>(head) * packed_bytes_;
  }

  void pack(std::int64_t head, bool keys) const {
    const Tensor& from = keys ? op_.k : op_.v;
    const auto pack = keys ? kernels_.pack_keys : kernels_.pack_values;
    pack(at(from, head, 0), from.row_stride(), keys_, head_dim_,
         packed(keys ? packed_keys_ : packed_values_, head));
  }

  void meet(std::int64_t head, std::int64_t index, int thread) const {
    AttentionBlock block{};
    block.first_row = index * rows_;
    block.rows = std::min(rows_, queries_ - block.first_row);
    block.q = at(op_.q, head, block.first_row);
    block.q_stride = op_.q.row_stride();
    block.y = const_cast<std::byte*>(at(op_.y, head, block.first_row));
    block.y_stride = op_.y.row_stride();
    block.packed_keys = packed(packed_keys_, head);
    block.packed_values = packed(packed_values_, head);
    block.keys = keys_;
    block.head_dim = head_dim_;
    block.scale = op_.scale;
    block.causal = op_.causal;
    block.scratch = states_ + static_cast<std::size_t>(thread) * state_bytes_;
    kernels_.block(block);
  }

  const AttentionOp& op_;
  const AttentionKernels& kernels_;
  std::int64_t batch_, queries_, keys_, head_dim_;
  std::int64_t heads_;  // of all pictures
  std::int64_t rows_, blocks_;
  std::size_t packed_bytes_;  // of one head's keys, or values
  std::size_t state_bytes_;   // of a thread
  std::byte *packed_keys_, *packed_values_, *states_;
};

}  // namespace

void CpuBackend::run(const AttentionOp& op) {
  if (op.y.shape().elements() == 0) return;
  const TypedKernels& kernels = this->kernels(op.q.dtype());
  Run(op, op.upcast ? kernels.attention_upcast : kernels.attention, scratch_).all();
}

}  // namespace diffuse::cpu
