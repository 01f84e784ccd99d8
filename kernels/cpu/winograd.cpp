#include "kernels/cpu/winograd.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "kernels/cpu/parallel.hpp"

namespace diffuse::cpu {
namespace {

// Tiles whose products stay in the second cache of a core, beside the weights they meet. Whole
// blocks on every instruction set.
constexpr std::int64_t kStripTiles = 48;
// Transformed pictures of a pass: the more, the less often weights are transformed again.
constexpr std::int64_t kPassFloats = std::int64_t{8} << 20;

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
// met by every panel of weights. A panel's kernels are transformed on the way, for each group of
// strips again: that is little work, and 9 values lie in memory instead of 36. What a tile gets
// depends on itself alone, so passes, groups, strips and blocks may span pictures.
struct Cut {
  std::int64_t tiles;  // of all pictures
  std::int64_t panels;
  std::int64_t block_floats;
  std::int64_t strip_blocks, strip_floats, strips;
  std::int64_t pass_strips;
  std::int64_t weight_floats, sum_floats;  // working memory of a thread

  Cut(const WinogradPicture& p, std::int64_t batch, std::int64_t rows)
      : tiles(batch * p.tiles),
        panels(blocks_of(p.out_channels, kWinogradPanel)),
        block_floats(36 * rows * (p.channels + kWinogradPadding)),
        strip_blocks(blocks_of(std::min(tiles, kStripTiles), rows)),
        strip_floats(strip_blocks * block_floats),
        strips(blocks_of(tiles, kStripTiles)),
        pass_strips(std::min(strips, std::max<std::int64_t>(2, kPassFloats / strip_floats))),
        weight_floats(winograd_weight_floats(p.channels)),
        sum_floats(strip_blocks * rows * 36 * kWinogradPanel) {}

  // Groups of `count` strips that a panel's work is cut into, so that threads get equal shares.
  [[nodiscard]] std::int64_t groups(std::int64_t threads, std::int64_t count) const {
    return panels % threads == 0 ? 1 : std::min(count, blocks_of(4 * threads, panels));
  }
};

// A call of run_winograd.
class Run {
 public:
  Run(const Conv2dOp& op, const WinogradWeight& weight, const WinogradKernels& kernels,
      Scratch& scratch)
      : op_(op),
        weight_(weight),
        kernels_(kernels),
        picture_(picture_of(op)),
        cut_(picture_, op.x.shape()[0], kernels.rows) {
    const std::int64_t floats = cut_.pass_strips * cut_.strip_floats +
                                max_threads() * (cut_.weight_floats + cut_.sum_floats);
    v_ =
        reinterpret_cast<float*>(scratch.reserve(static_cast<std::size_t>(floats) * sizeof(float)));
  }

  void all() {
    for (first_ = 0; first_ < cut_.strips; first_ += cut_.pass_strips) {
      count_ = std::min(cut_.pass_strips, cut_.strips - first_);
      parallel_for(count_ * cut_.strip_blocks, [&](std::int64_t block, int) { input(block); });
      const std::int64_t groups = cut_.groups(max_threads(), count_);
      parallel_for(cut_.panels * groups, [&](std::int64_t item, int thread) {
        const std::int64_t group = item % groups;
        panel(item / groups, group * count_ / groups, (group + 1) * count_ / groups, thread);
      });
    }
  }

 private:
  [[nodiscard]] std::int64_t first_tile(std::int64_t strip) const {
    return std::min(cut_.tiles, (first_ + strip) * kStripTiles);
  }

  void input(std::int64_t block) const {
    const std::int64_t begin = first_tile(0) + block * kernels_.rows;
    const std::int64_t end = std::min(cut_.tiles, begin + kernels_.rows);
    if (begin >= end) return;
    kernels_.input(picture_, op_.x.data<void>(), begin, end, v_ + block * cut_.block_floats);
  }

  // Some strips of the pass meet one panel of weights.
  void panel(std::int64_t panel, std::int64_t begin, std::int64_t end, int thread) const {
    float* u =
        v_ + cut_.pass_strips * cut_.strip_floats + thread * (cut_.weight_floats + cut_.sum_floats);
    float* m = u + cut_.weight_floats;
    const std::int64_t panel_bytes =
        9 * kWinogradPanel * picture_.channels * held_bytes(weight_.held, op_.x.dtype());
    kernels_.weights(static_cast<const std::byte*>(weight_.data.get()) + panel * panel_bytes,
                     weight_.held, picture_.channels, u);
    for (std::int64_t strip = begin; strip < end; ++strip) {
      const std::int64_t tiles = first_tile(strip + 1) - first_tile(strip);
      kernels_.product(picture_, {u, v_ + strip * cut_.strip_floats, tiles, m});
      output(panel, strip, m);
    }
  }

  void output(std::int64_t panel, std::int64_t strip, const float* m) const {
    WinogradOutput work{};
    work.m = m;
    work.bias = op_.bias.empty() ? nullptr : op_.bias.data<float>();
    work.residual = op_.residual.empty() ? nullptr : op_.residual.data<void>();
    work.y = op_.y.data<void>();
    work.first_channel = panel * kWinogradPanel;
    work.begin = first_tile(strip);
    work.end = first_tile(strip + 1);
    kernels_.output(picture_, work);
  }

  const Conv2dOp& op_;
  const WinogradWeight& weight_;
  const WinogradKernels& kernels_;
  WinogradPicture picture_;
  Cut cut_;
  float* v_;
  std::int64_t first_ = 0, count_ = 0;  // strips of the pass
};

// The values of [O, C, 3, 3] as [panels][C][9][kWinogradPanel], 0 past the last channel.
template <class Stored, class T>
void lay_out(const std::byte* values, const Convolution& usual, const PanelKernels& kernels,
             T* to) {
  constexpr std::int64_t kChannelsAPiece = 16;
  constexpr std::int64_t kPiece = 64 / sizeof(Stored);
  const std::int64_t channels = usual.channels;
  const std::int64_t pieces = blocks_of(channels, kChannelsAPiece);
  const std::int64_t panels = blocks_of(usual.out_channels, kWinogradPanel);
  parallel_for(panels * pieces, [&](std::int64_t item, int) {
    const std::int64_t first = item / pieces * kWinogradPanel;
    const std::int64_t here = std::min(kWinogradPanel, usual.out_channels - first);
    const std::int64_t begin = item % pieces * kChannelsAPiece;
    const std::int64_t end = std::min(channels, begin + kChannelsAPiece);
    T* kernel = to + (item / pieces * channels + begin) * 9 * kWinogradPanel;
    Stored piece[kPiece][kWinogradPanel] = {};
    for (std::int64_t c = 9 * begin; c < 9 * end; c += kPiece) {
      // A line of every output channel at a time: rows lie far apart, often on the same cache
      // lines.
      const std::int64_t count = std::min(kPiece, 9 * end - c);
      for (std::int64_t o = 0; o < here; ++o) {
        const std::int64_t from = (first + o) * channels * 9 + c;
        for (std::int64_t k = 0; k < count; ++k) piece[k][o] = stored_at<Stored>(values, from + k);
      }
      hold(kernels, piece[0], count * kWinogradPanel, kernel);
      kernel += count * kWinogradPanel;
    }
  });
}

}  // namespace

bool prefers_winograd(const Convolution& usual) {
  // Measured on Zen 4 against direct convolution: where this says yes, f32 gains a factor of 1.9 to
  // 3.2, bf16 1.05 to 1.6. With few channels the transforms of pictures cost more than is won, with
  // few tiles those of weights; and direct convolution saves what falls outside of small pictures.
  const bool f32 = usual.dtype == DType::f32;
  if (usual.kernel_height != 3 || usual.kernel_width != 3 || usual.stride != 1) return false;
  if (std::min(usual.channels, usual.out_channels) < (f32 ? 64 : 128)) return false;
  const std::int64_t tiles = blocks_of(usual.out_height(), 4) * blocks_of(usual.out_width(), 4);
  constexpr std::int64_t kMany = 64;
  constexpr std::int64_t kWide = 1024;
  return tiles >= kMany || (tiles >= kMany / 4 && (f32 || usual.out_channels >= kWide));
}

std::shared_ptr<const WinogradWeight> prepare_winograd(const WeightInput& input,
                                                       const PanelKernels& kernels,
                                                       const Convolution& usual) {
  const std::int64_t values =
      blocks_of(usual.out_channels, kWinogradPanel) * kWinogradPanel * usual.channels * 9;
  auto weight = std::make_shared<WinogradWeight>();
  weight->held = held_as(input.dtype, usual.dtype);
  const WeightMemory::Block block =
      input.allocate(static_cast<std::size_t>(values * held_bytes(weight->held, usual.dtype)));
  weight->data = block.data;
  if (!block.fill) return weight;
  const std::byte* from = input.values();
  with_types(input.dtype, usual.dtype, [&]<class Stored, class T>(Stored, T) {
    lay_out<Stored>(from, usual, kernels, static_cast<T*>(weight->data.get()));
  });
  return weight;
}

std::vector<std::byte> values_of(const WinogradWeight& weight, const Convolution& usual) {
  const std::int64_t channels = usual.channels;
  const std::int64_t each = held_bytes(weight.held, usual.dtype);
  std::vector<std::byte> values(static_cast<std::size_t>(usual.out_channels * channels * 9 * each));
  const auto* from = static_cast<const std::byte*>(weight.data.get());
  parallel_for(usual.out_channels, [&](std::int64_t o, int) {
    const std::int64_t panel = o / kWinogradPanel * channels * 9 * kWinogradPanel;
    std::byte* to = values.data() + o * channels * 9 * each;
    for (std::int64_t i = 0; i < channels * 9; ++i) {
      std::memcpy(to + i * each, from + (panel + i * kWinogradPanel + o % kWinogradPanel) * each,
                  static_cast<std::size_t>(each));
    }
  });
  return values;
}

void run_winograd(const Conv2dOp& op, const WinogradWeight& weight, const WinogradKernels& kernels,
                  Scratch& scratch) {
  Run(op, weight, kernels, scratch).all();
}

}  // namespace diffuse::cpu
