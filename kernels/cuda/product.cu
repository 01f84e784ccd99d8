#include "kernels/cuda/activation.cuh"
#include "kernels/cuda/op_kernels.hpp"

// Linear layers and convolutions as one plain product: every pixel (or row) by every output
// channel, summed over kernel taps and channels in order, in f32. The fall-back where the libraries
// have no plan, and their oracle on the device.
namespace diffuse::cuda {
namespace {

constexpr int kTile = 64;   // pixels and output channels of a block
constexpr int kDepth = 16;  // of the sum, a round
constexpr int kSide = 16;   // a block is kSide x kSide threads
constexpr int kEach = kTile / kSide;

struct Product {
  const void* x;
  const void* weight;  // [out, taps, channels]
  const float* bias;
  const void* residual;
  void* y;
  std::int64_t pixels;  // of all pictures
  std::int64_t out, channels;
  std::int64_t height, width, out_height, out_width;
  std::int64_t x_stride, y_stride, residual_stride;  // elements from pixel to pixel
  int kernel_height, kernel_width, stride, pad_top, pad_left;
  Activation activation;
};

// x at the k-th place of an output pixel's sum; 0 in the padding.
template <class T>
__device__ float input_at(const Product& p, std::int64_t pixel, std::int64_t k) {
  if (pixel >= p.pixels) return 0;
  const std::int64_t c = k % p.channels, tap = k / p.channels;
  const std::int64_t line = pixel / p.out_width;
  const std::int64_t h = line % p.out_height * p.stride - p.pad_top + tap / p.kernel_width;
  const std::int64_t w = pixel % p.out_width * p.stride - p.pad_left + tap % p.kernel_width;
  if (h < 0 || h >= p.height || w < 0 || w >= p.width) return 0;
  const std::int64_t from = (line / p.out_height * p.height + h) * p.width + w;
  return to_float(static_cast<const T*>(p.x)[from * p.x_stride + c]);
}

template <class T, class Out>
__global__ void product_kernel(Product p) {
  DYNAMIC_SHARED(float, shared);  // x [kDepth, kTile], then weights [kDepth, kTile]
  float* xs = shared;
  float* ws = shared + kDepth * kTile;
  const int column = static_cast<int>(threadIdx.x) % kSide;
  const int row = static_cast<int>(threadIdx.x) / kSide;
  const std::int64_t first_pixel = static_cast<std::int64_t>(blockIdx.x) * kTile;
  const std::int64_t first_out = static_cast<std::int64_t>(blockIdx.y) * kTile;
  const std::int64_t depth = p.channels * p.kernel_height * p.kernel_width;
  float sums[kEach][kEach] = {};

  for (std::int64_t begin = 0; begin < depth; begin += kDepth) {
    for (int i = static_cast<int>(threadIdx.x); i < kDepth * kTile; i += kSide * kSide) {
      const int k = i % kDepth, at = i / kDepth;
      const bool inside = begin + k < depth;
      xs[k * kTile + at] = inside ? input_at<T>(p, first_pixel + at, begin + k) : 0;
      ws[k * kTile + at] =
          inside && first_out + at < p.out
              ? to_float(static_cast<const T*>(p.weight)[(first_out + at) * depth + begin + k])
              : 0;
    }
    __syncthreads();
    for (int k = 0; k < kDepth; ++k) {
      for (int i = 0; i < kEach; ++i) {
        for (int j = 0; j < kEach; ++j) {
          sums[i][j] += xs[k * kTile + row + i * kSide] * ws[k * kTile + column + j * kSide];
        }
      }
    }
    __syncthreads();
  }

  for (int i = 0; i < kEach; ++i) {
    const std::int64_t pixel = first_pixel + row + i * kSide;
    if (pixel >= p.pixels) continue;
    for (int j = 0; j < kEach; ++j) {
      const std::int64_t o = first_out + column + j * kSide;
      if (o >= p.out) continue;
      float value = activate(p.activation, sums[i][j] + (p.bias != nullptr ? p.bias[o] : 0));
      if (p.residual != nullptr) {
        value += to_float(static_cast<const Out*>(p.residual)[pixel * p.residual_stride + o]);
      }
      static_cast<Out*>(p.y)[pixel * p.y_stride + o] = from_float<Out>(value);
    }
  }
}

// y = activation(y + bias) + residual over [rows, columns].
template <class Out>
__global__ void epilogue_kernel(Out* y, const float* bias, const Out* residual,
                                std::int64_t columns, std::int64_t y_stride,
                                std::int64_t residual_stride, Activation activation,
                                std::int64_t count) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= count) return;
  const std::int64_t row = i / columns, c = i % columns;
  float value = to_float(y[row * y_stride + c]);
  value = activate(activation, bias != nullptr ? value + bias[c] : value);
  if (residual != nullptr) value += to_float(residual[row * residual_stride + c]);
  y[row * y_stride + c] = from_float<Out>(value);
}

void run_product(const Product& product, DType in, DType out, const Context& context) {
  if (product.pixels == 0 || product.out == 0) return;
  with_element(in, [&]<class T>(T*) {
    const dim3 grid(blocks_of(product.pixels, kTile), blocks_of(product.out, kTile));
    const std::size_t shared = sizeof(float) * 2 * kDepth * kTile;
    launch(context, out == in ? product_kernel<T, T> : product_kernel<T, float>, grid,
           kSide * kSide, shared, product);
  });
}

const float* bias_of(const Tensor& bias) { return bias.empty() ? nullptr : bias.data<float>(); }

void epilogue(const Tensor& y, const float* bias, const Tensor& residual, Activation activation,
              const Context& context) {
  constexpr int kThreads = 256;
  const std::int64_t count = y.shape().elements();
  with_element(y.dtype(), [&]<class Out>(Out*) {
    const Out* added = residual.empty() ? nullptr : residual.data<Out>();
    launch(context, epilogue_kernel<Out>, blocks_of(count, kThreads), kThreads, 0, y.data<Out>(),
           bias, added, y.shape().back(), y.row_stride(),
           residual.empty() ? 0 : residual.row_stride(), activation, count);
  });
}

}  // namespace

void run(const LinearOp& op, const Context& context) {
  Product p{};
  p.x = op.x.data<void>();
  p.weight = data_of(op.weight);
  p.bias = bias_of(op.bias);
  p.residual = op.residual.empty() ? nullptr : op.residual.data<void>();
  p.y = op.y.data<void>();
  p.pixels = p.height = p.out_height = op.x.shape().rows();
  p.out = op.weight.shape[0];
  p.channels = op.weight.shape[1];
  p.width = p.out_width = 1;
  p.x_stride = op.x.row_stride();
  p.y_stride = op.y.row_stride();
  p.residual_stride = op.residual.empty() ? 0 : op.residual.row_stride();
  p.kernel_height = p.kernel_width = p.stride = 1;
  p.activation = op.activation;
  run_product(p, op.x.dtype(), op.y.dtype(), context);
}

void run(const Conv2dOp& op, const Context& context) {
  Product p{};
  p.x = op.x.data<void>();
  p.weight = data_of(op.weight);
  p.bias = bias_of(op.bias);
  p.residual = op.residual.empty() ? nullptr : op.residual.data<void>();
  p.y = op.y.data<void>();
  p.pixels = op.y.shape().rows();
  p.out = op.weight.shape[0];
  p.channels = op.weight.shape[1];
  p.height = op.x.shape()[1];
  p.width = op.x.shape()[2];
  p.out_height = op.y.shape()[1];
  p.out_width = op.y.shape()[2];
  p.x_stride = p.channels;
  p.y_stride = p.residual_stride = p.out;
  p.kernel_height = static_cast<int>(op.weight.shape[2]);
  p.kernel_width = static_cast<int>(op.weight.shape[3]);
  p.stride = op.stride;
  p.pad_top = op.pad_top;
  p.pad_left = op.pad_left;
  p.activation = Activation::none;
  run_product(p, op.x.dtype(), op.y.dtype(), context);
}

void run_epilogue(const LinearOp& op, bool add_bias, const Context& context) {
  const float* bias = add_bias ? bias_of(op.bias) : nullptr;
  if (bias == nullptr && op.residual.empty() && op.activation == Activation::none) return;
  epilogue(op.y, bias, op.residual, op.activation, context);
}

void run_epilogue(const Conv2dOp& op, bool add_bias, const Context& context) {
  const float* bias = add_bias ? bias_of(op.bias) : nullptr;
  if (bias == nullptr && op.residual.empty()) return;
  epilogue(op.y, bias, op.residual, Activation::none, context);
}

}  // namespace diffuse::cuda
