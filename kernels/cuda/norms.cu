#include "kernels/cuda/activation.cuh"
#include "kernels/cuda/op_kernels.hpp"

namespace diffuse::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / 32;

// Mean and sum of squared deviations of one group in one piece of a picture.
struct Moments {
  double mean, m2;
};

// Threads of a block over [pixels, vectors of V channels]: `columns` neighbouring threads take the
// vectors of one pixel, `rows` such teams take pixels by turns; the rest of the block idles.
struct Team {
  int columns, rows;
};

Team team_of(std::int64_t vectors) {
  const int columns = static_cast<int>(vectors < kThreads ? vectors : kThreads);
  return {columns, kThreads / columns};
}

// Pixels of one piece: by the picture's shape alone, so that sums never depend on the batch.
std::int64_t pixels_a_piece(std::int64_t pixels, std::int64_t channels) {
  std::int64_t piece = 32768 / channels;
  if (piece < 16) piece = 16;
  return piece < pixels ? piece : pixels;
}

// Moments of every group of one piece; grid (pieces, pictures). Each thread sums differences from
// its first pixel, channel by channel, so that a large mean costs no accuracy; then each warp
// merges the threads' results for its groups.
template <class T, int V>
__global__ void group_moments_kernel(const T* x, Moments* out, std::int64_t pixels,
                                     std::int64_t piece_pixels, int channels, int groups,
                                     Team team) {
  DYNAMIC_SHARED(float, shared);  // mean and m2, each [rows, channels]
  float* means = shared;
  float* m2s = shared + team.rows * channels;
  const int thread = static_cast<int>(threadIdx.x);
  const int column = thread % team.columns, row = thread / team.columns;
  const std::int64_t begin = blockIdx.x * piece_pixels;
  const std::int64_t length = min(piece_pixels, pixels - begin);
  const T* picture = x + (blockIdx.y * pixels + begin) * channels;

  for (int v = column; v < channels / V && row < team.rows; v += team.columns) {
    float first[V], sum[V], squares[V];
    for (int k = 0; k < V; ++k) first[k] = sum[k] = squares[k] = 0;
    if (row < length) {
      const auto value =
          *reinterpret_cast<const Vec<T, V>*>(picture + std::int64_t{row} * channels + v * V);
      for (int k = 0; k < V; ++k) first[k] = to_float(value.at[k]);
    }
    for (std::int64_t p = row; p < length; p += team.rows) {
      const auto value = *reinterpret_cast<const Vec<T, V>*>(picture + p * channels + v * V);
      for (int k = 0; k < V; ++k) {
        const float d = to_float(value.at[k]) - first[k];
        sum[k] += d;
        squares[k] += d * d;
      }
    }
    const std::int64_t taken = row < length ? (length - row + team.rows - 1) / team.rows : 0;
    const float inverse = taken > 0 ? 1.0F / static_cast<float>(taken) : 0.0F;
    for (int k = 0; k < V; ++k) {
      const float mean = sum[k] * inverse;
      means[row * channels + v * V + k] = first[k] + mean;
      m2s[row * channels + v * V + k] = fmaxf(squares[k] - sum[k] * mean, 0.0F);
    }
  }
  __syncthreads();

  const int width = channels / groups, lane = thread % 32;
  for (int g = thread / 32; g < groups; g += kWarps) {
    double total = 0;
    for (int i = lane; i < team.rows * width; i += 32) {
      const int r = i / width;
      const std::int64_t taken = r < length ? (length - r + team.rows - 1) / team.rows : 0;
      total += static_cast<double>(taken) * means[r * channels + g * width + i % width];
    }
    const double mean = warp_sum(total) / static_cast<double>(length * width);
    double squares = 0;
    for (int i = lane; i < team.rows * width; i += 32) {
      const int r = i / width;
      const std::int64_t taken = r < length ? (length - r + team.rows - 1) / team.rows : 0;
      if (taken == 0) continue;
      const double d = means[r * channels + g * width + i % width] - mean;
      squares += m2s[r * channels + g * width + i % width] + static_cast<double>(taken) * d * d;
    }
    squares = warp_sum(squares);
    if (lane == 0) {
      out[(static_cast<std::int64_t>(blockIdx.y) * gridDim.x + blockIdx.x) * groups + g] = {
          mean, squares};
    }
  }
}

// y = (x - mean) * factor + shift for each channel of a picture: norms [3, channels]. One warp a
// group, grid (groups / warps, pictures).
__global__ void merge_moments_kernel(const Moments* moments, const float* scale, const float* shift,
                                     float* norms, std::int64_t pixels, std::int64_t piece_pixels,
                                     int pieces, int channels, int groups, float eps) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int g = static_cast<int>(blockIdx.x * kWarps + threadIdx.x / 32);
  if (g >= groups) return;
  const int width = channels / groups;
  const Moments* of_picture = moments + static_cast<std::int64_t>(blockIdx.y) * pieces * groups;
  double total = 0;
  for (int p = lane; p < pieces; p += 32) {
    const auto count = static_cast<double>(min(piece_pixels, pixels - p * piece_pixels));
    total += count * of_picture[p * groups + g].mean;
  }
  const double mean = warp_sum(total) / static_cast<double>(pixels);
  double squares = 0;
  for (int p = lane; p < pieces; p += 32) {
    const auto count = static_cast<double>(min(piece_pixels, pixels - p * piece_pixels));
    const double d = of_picture[p * groups + g].mean - mean;
    squares += of_picture[p * groups + g].m2 + count * width * d * d;
  }
  const double variance = warp_sum(squares) / static_cast<double>(pixels * width);
  const double inverse = 1 / sqrt(variance + static_cast<double>(eps));
  float* out = norms + static_cast<std::int64_t>(blockIdx.y) * 3 * channels;
  for (int c = g * width + lane; c < (g + 1) * width; c += 32) {
    const double factor = inverse * static_cast<double>(scale[c]);
    // What rounding the mean takes away goes into the shift.
    const auto rounded = static_cast<float>(mean);
    out[c] = rounded;
    out[channels + c] = static_cast<float>(factor);
    out[2 * channels + c] = static_cast<float>(static_cast<double>(shift[c]) +
                                               (static_cast<double>(rounded) - mean) * factor);
  }
}

// The norm and its activation; grid (pieces, pictures). A thread keeps its channels' factors.
template <class T, int V>
__global__ void apply_norm_kernel(const T* x, T* y, const float* norms, std::int64_t pixels,
                                  std::int64_t piece_pixels, int channels, Activation activation,
                                  Team team) {
  const int thread = static_cast<int>(threadIdx.x);
  const int column = thread % team.columns, row = thread / team.columns;
  if (row >= team.rows) return;
  const std::int64_t begin = blockIdx.x * piece_pixels;
  const std::int64_t length = min(piece_pixels, pixels - begin);
  const std::int64_t offset = (blockIdx.y * pixels + begin) * channels;
  const float* of_picture = norms + static_cast<std::int64_t>(blockIdx.y) * 3 * channels;
  for (int v = column; v < channels / V; v += team.columns) {
    float mean[V], factor[V], shift[V];
    for (int k = 0; k < V; ++k) {
      mean[k] = of_picture[v * V + k];
      factor[k] = of_picture[channels + v * V + k];
      shift[k] = of_picture[2 * channels + v * V + k];
    }
    for (std::int64_t p = row; p < length; p += team.rows) {
      const std::int64_t at = offset + p * channels + v * V;
      auto value = *reinterpret_cast<const Vec<T, V>*>(x + at);
      for (int k = 0; k < V; ++k) {
        const float normed = (to_float(value.at[k]) - mean[k]) * factor[k] + shift[k];
        value.at[k] = from_float<T>(activate(activation, normed));
      }
      *reinterpret_cast<Vec<T, V>*>(y + at) = value;
    }
  }
}

// One warp a row; differences from the row's first value keep their accuracy whatever the mean.
template <class T, int V>
__global__ void layer_norm_kernel(const T* x, T* y, const float* scale, const float* shift,
                                  std::int64_t rows, int channels, float eps) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32;
  if (row >= rows) return;
  const auto* from = reinterpret_cast<const Vec<T, V>*>(x + row * channels);
  auto* to = reinterpret_cast<Vec<T, V>*>(y + row * channels);
  const float first = to_float(x[row * channels]);
  float sum = 0;
  for (int v = lane; v < channels / V; v += 32) {
    const Vec<T, V> value = from[v];
    for (int k = 0; k < V; ++k) sum += to_float(value.at[k]) - first;
  }
  const float mean = warp_sum(sum) / static_cast<float>(channels);
  float squares = 0;
  for (int v = lane; v < channels / V; v += 32) {
    const Vec<T, V> value = from[v];
    for (int k = 0; k < V; ++k) {
      const float d = to_float(value.at[k]) - first - mean;
      squares += d * d;
    }
  }
  const float inverse = 1.0F / sqrtf(warp_sum(squares) / static_cast<float>(channels) + eps);
  for (int v = lane; v < channels / V; v += 32) {
    Vec<T, V> value = from[v];
    for (int k = 0; k < V; ++k) {
      const float d = to_float(value.at[k]) - first - mean;
      value.at[k] = from_float<T>(d * inverse * scale[v * V + k] + shift[v * V + k]);
    }
    to[v] = value;
  }
}

template <class T, int V>
void group_norm(const GroupNormOp& op, const Context& context) {
  const auto batch = static_cast<unsigned>(op.x.shape()[0]);
  const auto channels = static_cast<int>(op.x.shape().back());
  const std::int64_t pixels = op.x.shape().rows() / batch;
  const std::int64_t piece_pixels = pixels_a_piece(pixels, channels);
  const unsigned pieces = blocks_of(pixels, piece_pixels);
  const std::size_t moments_bytes =
      std::size_t{batch} * pieces * static_cast<std::size_t>(op.groups) * sizeof(Moments);
  std::byte* scratch = context.workspace->reserve(
      moments_bytes + std::size_t{3} * batch * static_cast<std::size_t>(channels) * sizeof(float));
  auto* moments = reinterpret_cast<Moments*>(scratch);
  auto* norms = reinterpret_cast<float*>(scratch + moments_bytes);
  const Team team = team_of(channels / V);
  const std::size_t shared = sizeof(float) * 2 * static_cast<std::size_t>(team.rows * channels);
  launch(context, group_moments_kernel<T, V>, dim3(pieces, batch), kThreads, shared, op.x.data<T>(),
         moments, pixels, piece_pixels, channels, op.groups, team);
  launch(context, merge_moments_kernel, dim3(blocks_of(op.groups, kWarps), batch), kThreads, 0,
         moments, op.scale.data<float>(), op.shift.data<float>(), norms, pixels, piece_pixels,
         static_cast<int>(pieces), channels, op.groups, op.eps);
  launch(context, apply_norm_kernel<T, V>, dim3(pieces, batch), kThreads, 0, op.x.data<T>(),
         op.y.data<T>(), norms, pixels, piece_pixels, channels, op.activation, team);
}

}  // namespace

void run(const GroupNormOp& op, const Context& context) {
  if (op.x.shape().elements() == 0) return;
  const std::int64_t channels = op.x.shape().back();
  with_element(op.x.dtype(), [&]<class T>(T*) {
    // Shared memory holds a piece's sums for every channel of a team.
    constexpr std::int64_t kMostChannels = 6144;
    if (channels > kMostChannels) {
      throw DeviceError("group_norm over " + std::to_string(channels) +
                        " channels is more than the GPU kernel holds; use --device cpu");
    }
    const bool wide = can_move<T, kVector<T>>(op.x.data<T>(), channels) &&
                      can_move<T, kVector<T>>(op.y.data<T>(), channels);
    wide ? group_norm<T, kVector<T>>(op, context) : group_norm<T, 1>(op, context);
  });
}

void run(const LayerNormOp& op, const Context& context) {
  const auto channels = static_cast<int>(op.x.shape().back());
  const std::int64_t rows = op.x.shape().rows();
  if (op.x.shape().elements() == 0) return;
  with_element(op.x.dtype(), [&]<class T>(T*) {
    constexpr int V = kVector<T>;
    const bool wide =
        can_move<T, V>(op.x.data<T>(), channels) && can_move<T, V>(op.y.data<T>(), channels);
    launch(context, wide ? layer_norm_kernel<T, V> : layer_norm_kernel<T, 1>,
           blocks_of(rows, kWarps), kThreads, 0, op.x.data<T>(), op.y.data<T>(),
           op.scale.data<float>(), op.shift.data<float>(), rows, channels, op.eps);
  });
}

}  // namespace diffuse::cuda
