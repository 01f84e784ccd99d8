#include "kernels/cpu/winograd.hpp"

#include <algorithm>

#include "kernels/cpu/parallel.hpp"

namespace diffuse::cpu {
namespace {

// Tiles whose products stay in the second cache of a core, beside the weights they meet. Whole
// blocks on every instruction set.
constexpr std::int64_t kStripTiles = 48;
constexpr std::int64_t blocks_of(std::int64_t count, std::int64_t size) {
  return (count + size - 1) / size;
}

// u = G g G^T for one pair of channels; the rows of G belong to the points 0, a, -a, b, -b and
// infinity (kernels/cpu/isa/winograd.inl.hpp).
void transform_kernel(const float* g, double (&u)[36]) {
  constexpr double a2 = 0.625 * 0.625;
  constexpr double b2 = 1.5 * 1.5;
  constexpr double at_zero = 1 / (a2 * b2);
  constexpr double at_a = 1 / (2 * a2 * (a2 - b2));
  constexpr double at_b = 1 / (2 * b2 * (b2 - a2));
  const auto apply = [](double g0, double g1, double g2, double* to, std::ptrdiff_t step) {
    to[0] = g0 * at_zero;
    to[step] = (g0 + a2 * g2 + 0.625 * g1) * at_a;
    to[2 * step] = (g0 + a2 * g2 - 0.625 * g1) * at_a;
    to[3 * step] = (g0 + b2 * g2 + 1.5 * g1) * at_b;
    to[4 * step] = (g0 + b2 * g2 - 1.5 * g1) * at_b;
    to[5 * step] = g2;
  };
  double half[18];  // [6][3]
  for (std::ptrdiff_t j = 0; j < 3; ++j) {
    apply(static_cast<double>(g[j]), static_cast<double>(g[3 + j]), static_cast<double>(g[6 + j]),
          half + j, 3);
  }
  for (std::ptrdiff_t i = 0; i < 6; ++i)
    apply(half[3 * i], half[3 * i + 1], half[3 * i + 2], u + 6 * i, 1);
}

WinogradPicture picture_of(const Conv2dOp& op) {
  const Shape& x = op.x.shape();
  const Shape& y = op.y.shape();
  WinogradPicture p{};
  p.height = x[1];
  p.width = x[2];
  p.channels = x[3];
  p.out_height = y[1];
  p.out_width = y[2];
  p.out_channels = y[3];
  p.pad_top = op.pad_top;
  p.pad_left = op.pad_left;
  p.tiles_across = blocks_of(p.out_width, 4);
  p.tiles = p.tiles_across * blocks_of(p.out_height, 4);
  return p;
}

// How the tiles of a batch are cut. A pass: strips of whole blocks of tiles, transformed once, then
// met by every panel of weights. What a tile gets depends on itself alone, so passes, strips and
// blocks may span pictures.
struct Cut {
  std::int64_t tiles;  // of all pictures
  std::int64_t panels, panel_floats;
  std::int64_t block_floats;
  std::int64_t strip_blocks, strip_floats, strips;
  std::int64_t pass_strips;
  std::int64_t product_floats;  // working memory of a thread

  Cut(const WinogradPicture& p, std::int64_t batch, std::int64_t rows)
      : tiles(batch * p.tiles),
        panels(blocks_of(p.out_channels, kWinogradPanel)),
        panel_floats(36 * kWinogradPanel * p.channels),
        block_floats(36 * rows * (p.channels + kWinogradPadding)),
        strip_blocks(blocks_of(kStripTiles, rows)),
        strip_floats(strip_blocks * block_floats),
        strips(blocks_of(tiles, kStripTiles)),
        product_floats(strip_blocks * rows * 36 * kWinogradPanel) {
    // The transformed pictures of a pass: few enough to stay near, and no more passes over large
    // weights than need be.
    constexpr std::int64_t kMinFloats = std::int64_t{1} << 20;
    constexpr std::int64_t kMaxFloats = std::int64_t{4} << 20;
    const std::int64_t floats = std::clamp(panels * panel_floats / 4, kMinFloats, kMaxFloats);
    pass_strips = std::min(strips, std::max<std::int64_t>(2, floats / strip_floats));
  }
};

}  // namespace

bool prefers_winograd(const Convolution& usual) {
  // Measured on Zen 4 against direct convolution, one core, AVX2 to AVX512-BF16: where this says
  // yes, f32 gains a factor of 1.4 to 3.5, bf16 1.1 to 1.8. With few channels the transforms cost
  // more than the products; on small pictures large weights are read for too few products, and
  // four times their memory is not worth it.
  const std::int64_t min_channels = usual.dtype == DType::f32 ? 32 : 64;
  constexpr std::int64_t kSmallWeight = std::int64_t{256} * 256;
  constexpr std::int64_t kTilesForSmall = 9;
  constexpr std::int64_t kTilesForLarge = 64;
  if (usual.kernel_height != 3 || usual.kernel_width != 3 || usual.stride != 1) return false;
  if (std::min(usual.channels, usual.out_channels) < min_channels) return false;
  const bool small = usual.channels * usual.out_channels <= kSmallWeight;
  const std::int64_t tiles = blocks_of(usual.out_height(), 4) * blocks_of(usual.out_width(), 4);
  return tiles >= (small ? kTilesForSmall : kTilesForLarge);
}

std::shared_ptr<const PreparedWeight> prepare_winograd(const WeightInput& input,
                                                       const Convolution& usual,
                                                       const WinogradKernels& kernels) {
  const std::int64_t channels = usual.channels;
  const std::int64_t columns = kernels.columns;
  const std::int64_t panels = blocks_of(usual.out_channels, kWinogradPanel);
  const std::int64_t panel_floats = 36 * kWinogradPanel * channels;
  auto weight = std::make_shared<WinogradWeight>();
  const WeightMemory::Block block =
      input.allocate(static_cast<std::size_t>(panels * panel_floats) * sizeof(float));
  weight->data = block.data;
  if (!block.fill) return weight;
  const float* values = input.values();
  auto* data = static_cast<float*>(weight->data.get());
  constexpr std::int64_t kChannelsAPiece = 16;
  const std::int64_t pieces = blocks_of(channels, kChannelsAPiece);
  parallel_for(panels * pieces, [&](std::int64_t item, int) {
    const std::int64_t first = item / pieces * kWinogradPanel;
    float* panel = data + item / pieces * panel_floats;
    const std::int64_t begin = item % pieces * kChannelsAPiece;
    const std::int64_t end = std::min(channels, begin + kChannelsAPiece);
    for (std::int64_t o = 0; o < kWinogradPanel; ++o) {
      const std::int64_t column = o / columns * channels * columns + o % columns;
      for (std::int64_t c = begin; c < end; ++c) {
        double u[36] = {};  // 0 for channels past the end
        if (first + o < usual.out_channels) {
          transform_kernel(values + ((first + o) * channels + c) * 9, u);
        }
        for (std::int64_t k = 0; k < 36; ++k) {
          panel[k * kWinogradPanel * channels + column + c * columns] = static_cast<float>(u[k]);
        }
      }
    }
  });
  return weight;
}

bool is_winograd(const Conv2dOp& op) {
  return dynamic_cast<const WinogradWeight*>(op.weight.prepared.get()) != nullptr;
}

void run_winograd(const Conv2dOp& op, const WinogradKernels& kernels, Scratch& scratch) {
  const WinogradPicture picture = picture_of(op);
  const Cut cut(picture, op.x.shape()[0], kernels.rows);
  auto* v = reinterpret_cast<float*>(
      scratch.reserve(static_cast<std::size_t>(cut.pass_strips * cut.strip_floats +
                                               max_threads() * cut.product_floats) *
                      sizeof(float)));
  float* products = v + cut.pass_strips * cut.strip_floats;
  const auto* weights =
      static_cast<const float*>(static_cast<const WinogradWeight&>(*op.weight.prepared).data.get());

  for (std::int64_t first = 0; first < cut.strips; first += cut.pass_strips) {
    const std::int64_t count = std::min(cut.pass_strips, cut.strips - first);
    const auto first_tile = [&](std::int64_t strip) {
      return std::min(cut.tiles, (first + strip) * kStripTiles);
    };
    parallel_for(count * cut.strip_blocks, [&](std::int64_t block, int) {
      const std::int64_t begin = first_tile(0) + block * kernels.rows;
      const std::int64_t end = std::min(cut.tiles, begin + kernels.rows);
      if (begin < end) {
        kernels.input(picture, op.x.data<void>(), begin, end, v + block * cut.block_floats);
      }
    });
    parallel_for(count * cut.panels, [&](std::int64_t item, int thread) {
      const std::int64_t panel = item / count;
      const std::int64_t strip = item % count;
      WinogradPanel work{};
      work.weights = weights + panel * cut.panel_floats;
      work.v = v + strip * cut.strip_floats;
      work.m = products + thread * cut.product_floats;
      work.bias = op.bias.empty() ? nullptr : op.bias.data<float>();
      work.residual = op.residual.empty() ? nullptr : op.residual.data<void>();
      work.y = op.y.data<void>();
      work.first_channel = panel * kWinogradPanel;
      work.begin = first_tile(strip);
      work.end = first_tile(strip + 1);
      kernels.output(picture, work);
    });
  }
}

}  // namespace diffuse::cpu
