#include "kernels/cuda/launch.hpp"
#include "kernels/cuda/op_kernels.hpp"

// Ops that move bytes: the dtype does not matter, only how many bytes one instruction can take.
namespace diffuse::cuda {
namespace {

constexpr int kThreads = 256;

__device__ __forceinline__ std::int64_t thread_index() {
  return static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
}

template <class Unit>
__global__ void upsample_kernel(const Unit* x, Unit* y, std::int64_t from_height,
                                std::int64_t from_width, std::int64_t height, std::int64_t width,
                                std::int64_t units, std::int64_t count) {
  const std::int64_t i = thread_index();
  if (i >= count) return;
  const std::int64_t unit = i % units, pixel = i / units;
  const std::int64_t column = pixel % width, line = pixel / width;
  const std::int64_t from_line = line / height * from_height + line % height * from_height / height;
  y[i] = x[(from_line * from_width + column * from_width / width) * units + unit];
}

template <class Unit>
__global__ void concat_kernel(const Unit* a, const Unit* b, Unit* y, std::int64_t a_units,
                              std::int64_t b_units, std::int64_t count) {
  const std::int64_t i = thread_index();
  if (i >= count) return;
  const std::int64_t row = i / (a_units + b_units), at = i % (a_units + b_units);
  y[i] = at < a_units ? a[row * a_units + at] : b[row * b_units + at - a_units];
}

template <class Unit>
__global__ void select_row_kernel(const Unit* table, const std::int32_t* step, Unit* y,
                                  std::int64_t rows, std::int64_t units) {
  const std::int64_t i = thread_index();
  const std::int64_t row = *step;
  if (i >= units || row < 0 || row >= rows) return;
  y[i] = table[row * units + i];
}

// Calls `body` with a null pointer of the largest unit that divides sizes and addresses.
template <class Body>
void with_unit(std::uintptr_t together, const Body& body) {
  if (together % 16 == 0) return body(static_cast<uint4*>(nullptr));
  if (together % 4 == 0) return body(static_cast<std::uint32_t*>(nullptr));
  if (together % 2 == 0) return body(static_cast<std::uint16_t*>(nullptr));
  return body(static_cast<std::uint8_t*>(nullptr));
}

std::uintptr_t address(const Tensor& t) {
  return reinterpret_cast<std::uintptr_t>(t.data<std::byte>());
}

std::int64_t row_bytes(const Tensor& t) {
  return t.shape().back() * static_cast<std::int64_t>(size_of(t.dtype()));
}

}  // namespace

void run(const UpsampleNearestOp& op, const Context& context) {
  const Shape& from = op.x.shape();
  const Shape& to = op.y.shape();
  const std::int64_t bytes = row_bytes(op.x);
  with_unit(
      address(op.x) | address(op.y) | static_cast<std::uintptr_t>(bytes), [&]<class Unit>(Unit*) {
        const std::int64_t units = bytes / static_cast<std::int64_t>(sizeof(Unit));
        const std::int64_t count = to.rows() * units;
        launch(context, upsample_kernel<Unit>, blocks_of(count, kThreads), kThreads, 0,
               op.x.data<Unit>(), op.y.data<Unit>(), from[1], from[2], to[1], to[2], units, count);
      });
}

void run(const ConcatChannelsOp& op, const Context& context) {
  const std::int64_t a_bytes = row_bytes(op.a), b_bytes = row_bytes(op.b);
  with_unit(address(op.a) | address(op.b) | address(op.y) |
                static_cast<std::uintptr_t>(a_bytes | b_bytes),
            [&]<class Unit>(Unit*) {
              const auto size = static_cast<std::int64_t>(sizeof(Unit));
              const std::int64_t count = op.y.shape().rows() * (a_bytes + b_bytes) / size;
              launch(context, concat_kernel<Unit>, blocks_of(count, kThreads), kThreads, 0,
                     op.a.data<Unit>(), op.b.data<Unit>(), op.y.data<Unit>(), a_bytes / size,
                     b_bytes / size, count);
            });
}

void run(const SelectRowOp& op, const Context& context) {
  const std::int64_t bytes = row_bytes(op.y);
  with_unit(address(op.table) | address(op.y) | static_cast<std::uintptr_t>(bytes),
            [&]<class Unit>(Unit*) {
              const std::int64_t units = bytes / static_cast<std::int64_t>(sizeof(Unit));
              launch(context, select_row_kernel<Unit>, blocks_of(units, kThreads), kThreads, 0,
                     op.table.data<Unit>(), op.step.data<std::int32_t>(), op.y.data<Unit>(),
                     op.table.shape()[0], units);
            });
}

}  // namespace diffuse::cuda
