#include "kernels/cuda/activation.cuh"
#include "kernels/cuda/op_kernels.hpp"

namespace diffuse::cuda {
namespace {

constexpr int kThreads = 256;

__device__ __forceinline__ std::int64_t thread_index() {
  return static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
}

template <class T, int V>
__global__ void activation_kernel(const T* x, T* y, Activation activation, std::int64_t vectors) {
  const std::int64_t i = thread_index();
  if (i >= vectors) return;
  Vec<T, V> v = reinterpret_cast<const Vec<T, V>*>(x)[i];
  for (int k = 0; k < V; ++k) v.at[k] = from_float<T>(activate(activation, to_float(v.at[k])));
  reinterpret_cast<Vec<T, V>*>(y)[i] = v;
}

// One thread for V outputs; `width` vectors a row of y, 2 * width a row of x.
template <class T, int V>
__global__ void geglu_kernel(const T* x, T* y, std::int64_t width, std::int64_t vectors) {
  const std::int64_t i = thread_index();
  if (i >= vectors) return;
  const auto* row = reinterpret_cast<const Vec<T, V>*>(x) + i / width * 2 * width;
  const Vec<T, V> value = row[i % width];
  const Vec<T, V> gate = row[width + i % width];
  Vec<T, V> out;
  for (int k = 0; k < V; ++k) {
    out.at[k] = from_float<T>(to_float(value.at[k]) * gelu(to_float(gate.at[k])));
  }
  reinterpret_cast<Vec<T, V>*>(y)[i] = out;
}

template <class T>
__global__ void scale_input_kernel(const float* x, const float* factors, const std::int32_t* step,
                                   std::int64_t steps, T* y, std::int64_t x_count,
                                   std::int64_t y_count) {
  const std::int64_t i = thread_index();
  const std::int64_t s = *step;
  if (i >= y_count || s < 0 || s >= steps) return;
  y[i] = from_float<T>(factors[s] * x[i % x_count]);
}

template <class From, class To>
__global__ void copy_kernel(const From* x, To* y, std::int64_t columns, std::int64_t x_rows,
                            std::int64_t x_stride, std::int64_t y_stride, std::int64_t count) {
  const std::int64_t i = thread_index();
  if (i >= count) return;
  const std::int64_t row = i / columns, column = i % columns;
  y[row * y_stride + column] = from_float<To>(to_float(x[row % x_rows * x_stride + column]));
}

template <class T>
__global__ void pixels_kernel(const T* x, std::uint8_t* y, std::int64_t count) {
  const std::int64_t i = thread_index();
  if (i >= count) return;
  const float value = to_float(x[i]) / 2 + 0.5F;
  const float clamped = value > 0 ? fminf(value, 1.0F) : 0.0F;  // NaN gives 0
  y[i] = static_cast<std::uint8_t>(rintf(255 * clamped));
}

template <class T>
__global__ void embedding_kernel(const std::int32_t* ids, const T* tokens, const T* positions, T* y,
                                 std::int64_t length, std::int64_t width, std::int64_t entries,
                                 std::int64_t count) {
  const std::int64_t i = thread_index();
  if (i >= count) return;
  const std::int64_t row = i / width, c = i % width;
  const std::int64_t id = ids[row];
  if (id < 0 || id >= entries) return;
  y[i] = from_float<T>(to_float(tokens[id * width + c]) +
                       to_float(positions[row % length * width + c]));
}

}  // namespace

void run(const ActivationOp& op, const Context& context) {
  const std::int64_t count = op.x.shape().elements();
  with_element(op.x.dtype(), [&]<class T>(T*) {
    constexpr int V = kVector<T>;
    const T* x = op.x.data<T>();
    T* y = op.y.data<T>();
    if (can_move<T, V>(x, count) && can_move<T, V>(y, count)) {
      launch(context, activation_kernel<T, V>, blocks_of(count / V, kThreads), kThreads, 0, x, y,
             op.activation, count / V);
    } else {
      launch(context, activation_kernel<T, 1>, blocks_of(count, kThreads), kThreads, 0, x, y,
             op.activation, count);
    }
  });
}

void run(const GegluOp& op, const Context& context) {
  const std::int64_t count = op.y.shape().elements();
  const std::int64_t width = op.y.shape().back();
  with_element(op.x.dtype(), [&]<class T>(T*) {
    constexpr int V = kVector<T>;
    const T* x = op.x.data<T>();
    T* y = op.y.data<T>();
    if (can_move<T, V>(x, width) && can_move<T, V>(y, width)) {
      launch(context, geglu_kernel<T, V>, blocks_of(count / V, kThreads), kThreads, 0, x, y,
             width / V, count / V);
    } else {
      launch(context, geglu_kernel<T, 1>, blocks_of(count, kThreads), kThreads, 0, x, y, width,
             count);
    }
  });
}

void run(const ScaleInputOp& op, const Context& context) {
  const std::int64_t count = op.y.shape().elements();
  with_element(op.y.dtype(), [&]<class T>(T*) {
    launch(context, scale_input_kernel<T>, blocks_of(count, kThreads), kThreads, 0,
           op.x.data<float>(), op.factors.data<float>(), op.step.data<std::int32_t>(),
           op.factors.shape().elements(), op.y.data<T>(), op.x.shape().elements(), count);
  });
}

void run(const CopyOp& op, const Context& context) {
  // A vector is a column of entries of one element each.
  const bool is_vector = op.y.shape().rank() == 1;
  const std::int64_t columns = is_vector ? 1 : op.y.shape().back();
  const std::int64_t x_rows = is_vector ? op.x.shape()[0] : op.x.shape().rows();
  const std::int64_t x_stride = is_vector ? 1 : op.x.row_stride();
  const std::int64_t y_stride = is_vector ? 1 : op.y.row_stride();
  const std::int64_t count = op.y.shape().elements();
  with_element(op.x.dtype(), [&]<class From>(From*) {
    with_element(op.y.dtype(), [&]<class To>(To*) {
      launch(context, copy_kernel<From, To>, blocks_of(count, kThreads), kThreads, 0,
             op.x.data<From>(), op.y.data<To>(), columns, x_rows, x_stride, y_stride, count);
    });
  });
}

void run(const PixelsOp& op, const Context& context) {
  const std::int64_t count = op.y.shape().elements();
  with_element(op.x.dtype(), [&]<class T>(T*) {
    launch(context, pixels_kernel<T>, blocks_of(count, kThreads), kThreads, 0, op.x.data<T>(),
           op.y.data<std::uint8_t>(), count);
  });
}

void run(const EmbeddingOp& op, const Context& context) {
  const std::int64_t count = op.y.shape().elements();
  with_element(op.y.dtype(), [&]<class T>(T*) {
    launch(context, embedding_kernel<T>, blocks_of(count, kThreads), kThreads, 0,
           op.ids.data<std::int32_t>(), static_cast<const T*>(data_of(op.tokens)),
           static_cast<const T*>(data_of(op.positions)), op.y.data<T>(), op.y.shape()[1],
           op.y.shape()[2], op.tokens.shape[0], count);
  });
}

}  // namespace diffuse::cuda
