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

}  // namespace

void CpuBackend::run(const AttentionOp& op) {
  const std::int64_t batch = op.q.shape()[0];
  const std::int64_t queries = op.q.shape()[1];
  const std::int64_t keys = op.k.shape()[1];
  const std::int64_t head_dim = op.q.shape()[2] / op.heads;
  if (op.y.shape().elements() == 0) return;
  const TypedKernels& kernels = this->kernels(op.q.dtype());
  const AttentionKernels& attention = op.upcast ? kernels.attention_upcast : kernels.attention;

  // Scratch: packed keys and values of every head, then a block's state for each thread.
  const std::size_t packed = round_up(attention.packed_bytes(keys, head_dim));
  const std::size_t state = round_up(attention.scratch_bytes(head_dim));
  const std::int64_t heads = batch * op.heads;
  std::byte* keys_at = scratch_.reserve(2 * static_cast<std::size_t>(heads) * packed +
                                        static_cast<std::size_t>(max_threads()) * state);
  std::byte* values_at = keys_at + static_cast<std::size_t>(heads) * packed;
  std::byte* states_at = values_at + static_cast<std::size_t>(heads) * packed;

  parallel_for(2 * heads, [&](std::int64_t item, int) {
    const std::int64_t head = item / 2;
    const std::int64_t n = head / op.heads;
    const std::int64_t h = head % op.heads;
    const std::size_t offset = static_cast<std::size_t>(head) * packed;
    if (item % 2 == 0) {
      attention.pack_keys(head_of(op.k, n, h, head_dim), op.k.row_stride(), keys, head_dim,
                          keys_at + offset);
    } else {
      attention.pack_values(head_of(op.v, n, h, head_dim), op.v.row_stride(), keys, head_dim,
                            values_at + offset);
    }
  });

  const std::int64_t rows = block_rows(attention, queries, heads);
  const std::int64_t blocks = blocks_of(queries, rows);
  const auto meet = [&](std::int64_t n, std::int64_t h, std::int64_t first, int thread) {
    const auto offset_of = [&](const Tensor& t) {
      return static_cast<std::size_t>(first * t.row_stride()) * size_of(t.dtype());
    };
    const auto head = static_cast<std::size_t>(n * op.heads + h);
    AttentionBlock block{};
    block.q = head_of(op.q, n, h, head_dim) + offset_of(op.q);
    block.q_stride = op.q.row_stride();
    block.y = const_cast<std::byte*>(head_of(op.y, n, h, head_dim)) + offset_of(op.y);
    block.y_stride = op.y.row_stride();
    block.rows = std::min(rows, queries - first);
    block.first_row = first;
    block.packed_keys = keys_at + head * packed;
    block.packed_values = values_at + head * packed;
    block.keys = keys;
    block.head_dim = head_dim;
    block.scale = op.scale;
    block.causal = op.causal;
    block.scratch = states_at + static_cast<std::size_t>(thread) * state;
    attention.block(block);
  };
  // A query's heads lie together: they are read and written in one go where the keys of all heads
  // stay in a core's second cache. Else the keys of one head shall.
  constexpr std::size_t kNearBytes = std::size_t{512} << 10;
  const bool heads_inside = 2 * static_cast<std::size_t>(op.heads) * packed <= kNearBytes &&
                            batch * blocks >= std::int64_t{4} * max_threads();
  if (heads_inside) {
    parallel_for(batch * blocks, [&](std::int64_t item, int thread) {
      for (std::int64_t h = 0; h < op.heads; ++h) {
        meet(item / blocks, h, item % blocks * rows, thread);
      }
    });
    return;
  }
  parallel_for(heads * blocks, [&](std::int64_t item, int thread) {
    const std::int64_t head = item / blocks;
    meet(head / op.heads, head % op.heads, item % blocks * rows, thread);
  });
}

}  // namespace diffuse::cpu
