#pragma once

#include <cstdint>

namespace diffuse::cpu {

// The inner loops that are compiled once per instruction set (kernels/cpu/isa/). They are serial
// and see raw memory only; how work is cut into pieces and shared among threads is decided by the
// callers, by shapes alone, so that no result depends on threads or on a picture's neighbours.

/// Mean and sum of squared deviations of a piece of a group.
struct Moments {
  double mean;
  double m2;
};

/// Element-wise function of `activation`.
enum class Function : std::uint8_t { identity, silu, gelu, quick_gelu };

/// One block of query rows of one head of one picture.
struct AttentionBlock {
  const void* q;              ///< first query row
  std::int64_t q_stride;      ///< elements between query rows
  void* y;                    ///< first output row
  std::int64_t y_stride;      ///< elements between output rows
  std::int64_t rows;          ///< query rows of the block, 1 to query_block
  std::int64_t first_row;     ///< index of the first one, for the causal mask
  const void* packed_keys;    ///< as pack_keys left them
  const void* packed_values;  ///< as pack_values left them
  std::int64_t keys;
  std::int64_t head_dim;
  float scale;
  bool causal;
  void* scratch;  ///< scratch_bytes(head_dim)
};

/// Attention for one combination of element type and product type.
struct AttentionKernels {
  std::int64_t query_block;  ///< rows of a block at most
  std::int64_t query_unit;   ///< of which a smaller one has a multiple
  /// Bytes of the packed keys or values of one head (each).
  std::int64_t (*packed_bytes)(std::int64_t keys, std::int64_t head_dim);
  std::int64_t (*scratch_bytes)(std::int64_t head_dim);
  /// Keys and values in the order in which `block` meets them; missing keys are zero.
  void (*pack_keys)(const void* k, std::int64_t stride, std::int64_t keys, std::int64_t head_dim,
                    void* packed);
  void (*pack_values)(const void* v, std::int64_t stride, std::int64_t keys, std::int64_t head_dim,
                      void* packed);
  /// Softmax over keys in tiles of fixed size, in order; each row by itself.
  void (*block)(const AttentionBlock& block);
};

/// Rows of a tile, and of the tiles that meet weights together, where there is a tile unit; values
/// of bf16 that each has.
constexpr std::int64_t kTileRows = 16, kTileBlockRows = 2 * kTileRows, kTileDepth = 32;

/// How weights lie in memory: in the type that they are multiplied in, or, where that is f32, as
/// the narrower numbers that a model's file has, which are widened, exactly, on their way.
enum class Held : std::uint8_t { as_multiplied, bf16, f16 };

/// A row of inputs, and where the sums of its products with a panel's columns lie.
struct ProductRow {
  const void* x;
  float* sums;
};

/// y = function(sums + bias) + residual for the rows that met a panel.
struct PanelOutput {
  const float* bias;  ///< or null
  Function function;
  const void* residual;  ///< or null
  std::int64_t residual_stride;
  void* y;
  std::int64_t y_stride;
  bool f32;  ///< y and residual; else they have the weights' type
  /// y is too large for any cache and is not fetched to be written over. Whole lines: it begins
  /// with one, y_stride and the panel's columns are multiples of one, and all of these exist.
  bool past_caches;
  /// On a tile unit: row r's output is row places[r] of y, and none where that is negative. Null:
  /// row r.
  const std::int32_t* places;
};

/// Rows meet some depth of a panel of weights: sums (+)= x W.
struct PanelProduct {
  /// Their sums lie in one array in this order, on a tile unit equally far apart. With an output
  /// they hold nothing of use afterwards.
  const ProductRow* rows;
  std::int64_t count;
  /// Bytes between the x of the rows of a tile (kTileRows from a multiple of that on), if those of
  /// all whole tiles lie evenly; or 0.
  std::int64_t x_stride;
  std::int64_t columns;  ///< of the panel that exist
  std::int64_t first;    ///< value of each row that meets the panel's first
  const void* panel;     ///< [depth / step][columns][step], zero past the last value
  std::int64_t depth;
  bool fresh;                 ///< nothing is in the sums yet
  const PanelOutput* output;  ///< null: the sums are not whole yet
  const void* next;           ///< what comes after `panel`, fetched meanwhile; any address will do
  std::int64_t next_bytes;
  const void* next_x;  ///< rows of x that come after these, fetched then; or null
  std::int64_t next_x_bytes;
};

/// y = (values + bias) gelu(gates + gate_bias): the sums of rows that met two panels.
struct GatedOutput {
  const float* values;  ///< [rows][columns of a panel]
  const float* gates;
  std::int64_t rows;
  const float* bias;  ///< or null, as gate_bias
  const float* gate_bias;
  void* y;  ///< of the weights' type
  std::int64_t y_stride;
};

/// Rows and weights as SplitKernels left them meet: sums (+)= x W.
struct SplitProduct {
  const void* x;
  std::int64_t count;  ///< rows
  const void* weights;
  Held held;
  std::int64_t columns;  ///< of the panel that exist
  std::int64_t depth;
  bool fresh;   ///< nothing is in the sums yet
  float* sums;  ///< [rows in whole blocks of kTileBlockRows][columns]; null: fresh, with an output
  const PanelOutput* output;  ///< null: the sums are not whole yet; without `places`
  /// Rows that will be split next, fetched into the second cache meanwhile; or null.
  const void* next;
  std::int64_t next_rows, next_row_bytes, next_stride;  ///< the stride in bytes
};

/// Products of f32 on a tile unit, by numbers that are sums of bf16 ones.
struct SplitKernels {
  std::int64_t columns;  ///< of its panels
  /// Values [first, first + depth) of `count` rows, or zeros where x[r] is null, to `to`:
  /// kSplitBytes for each value, rows in whole tiles, depth in whole kTileDepth.
  void (*rows)(const void* const* x, std::int64_t count, std::int64_t first, std::int64_t depth,
               void* to);
  /// [depth][stride], of which the first `columns` count, to `to`: kSplitBytes for each value,
  /// depth in whole kTileDepth.
  void (*weights)(const void* panel, std::int64_t stride, Held held, std::int64_t depth, void* to);
  void (*product)(const SplitProduct& product);
  void (*gated)(const GatedOutput& output);  ///< for these columns
};
constexpr std::int64_t kSplitBytes = 6;

/// Products with weights in panels of columns.
struct PanelKernels {
  std::int64_t columns;  ///< of a panel
  void (*product)(const PanelProduct& product);
  void (*gated)(const GatedOutput& output);
  /// Weights of whole panels that are held narrow; null where products are not in f32.
  void (*widen)(const void* from, Held held, std::int64_t count, float* to);
  /// Values of a file, f32 or f16, to bf16, nearest, ties to even; null where products are in f32.
  void (*round_f32)(const void* from, std::int64_t count, void* to);
  void (*round_f16)(const void* from, std::int64_t count, void* to);
  /// On a tile unit (tile_panels.hpp), which makes up to 1024 products of bf16 a cycle: Winograd
  /// loses there, with a quarter of them in f32, at 32 a cycle.
  bool on_tiles = false;
  /// Of f32, on a tile unit (split_panels.hpp); or null.
  const SplitKernels* split = nullptr;
};

/// A 3x3 convolution with stride 1 in tiles of 4x4 outputs, counted over all pictures of a batch.
struct WinogradPicture {
  std::int64_t height, width, channels;
  std::int64_t out_height, out_width, out_channels;
  std::int64_t pad_top, pad_left;
  std::int64_t tiles;  ///< of a picture
  std::int64_t tiles_across;
};

/// Output channels that share one pass over the transformed pictures.
constexpr std::int64_t kWinogradPanel = 64;
/// Floats between the windows of transformed pictures, and between the points of transformed
/// weights: without them the 36 points fall on the same few lines of the first cache.
constexpr std::int64_t kWinogradPadding = 16;

/// Some tiles meet the weights of one panel of output channels.
struct WinogradProduct {
  const float* u;  ///< as `weights` left it
  const float* v;  ///< as `input` left it for these tiles
  std::int64_t tiles;
  float* m;  ///< [whole blocks of tiles][36][rows][kWinogradPanel]
};

/// Tiles of one panel of output channels on their way back to pixels.
struct WinogradOutput {
  const float* m;        ///< sums of all products
  const float* bias;     ///< of all channels, or null
  const void* residual;  ///< of all pictures, or null
  void* y;               ///< of all pictures
  std::int64_t first_channel;
  std::int64_t begin, end;  ///< tiles
};

/// Winograd convolution for one element type of pictures and weights; all between is f32.
struct WinogradKernels {
  std::int64_t rows;  ///< tiles of a block
  /// Tiles [begin, end) to `v`, [blocks][36][rows][channels + kWinogradPadding].
  void (*input)(const WinogradPicture& picture, const void* x, std::int64_t begin, std::int64_t end,
                float* v);
  /// Kernels g, [channels][9][kWinogradPanel], to `u`, winograd_weight_floats(channels) long.
  void (*weights)(const void* g, Held held, std::int64_t channels, float* u);
  void (*product)(const WinogradPicture& picture, const WinogradProduct& product);
  void (*output)(const WinogradPicture& picture, const WinogradOutput& output);
};

/// Floats from one of the 36 points of transformed weights to the next.
constexpr std::int64_t winograd_weight_step(std::int64_t channels) {
  return channels * kWinogradPanel + kWinogradPadding;
}
constexpr std::int64_t winograd_weight_floats(std::int64_t channels) {
  return 36 * winograd_weight_step(channels);
}

/// The kernels of one element type.
struct TypedKernels {
  /// x [pixels, channels]: the moments of each of `groups` groups over all pixels. `work`: 2 *
  /// channels floats.
  void (*group_moments)(const void* x, std::int64_t pixels, std::int64_t channels,
                        std::int64_t groups, float* work, Moments* moments);
  /// y = function((x - mean[c]) * factor[c] + shift[c]); function: identity, silu, ...
  void (*group_apply)(const void* x, void* y, std::int64_t pixels, std::int64_t channels,
                      const float* mean, const float* factor, const float* shift,
                      Function function);
  void (*layer_norm)(const void* x, void* y, std::int64_t rows, std::int64_t channels,
                     const float* scale, const float* shift, float eps);
  /// y[r,c] = x[r,c] gelu(x[r,channels + c]).
  void (*geglu)(const void* x, void* y, std::int64_t rows, std::int64_t channels);
  void (*activation)(const void* x, void* y, std::int64_t count, Function function);
  PanelKernels panels;
  WinogradKernels winograd;
  AttentionKernels attention;         ///< products in the element type
  AttentionKernels attention_upcast;  ///< products in f32
};

struct KernelTable {
  TypedKernels f32;
  const TypedKernels* bf16;  ///< null where the instruction set has no bf16 products
};

/// Null where the compiler could not build for that instruction set.
const KernelTable* sse_kernels();
const KernelTable* avx2_kernels();
const KernelTable* avx512_kernels();
const KernelTable* avx512_bf16_kernels();
const KernelTable* amx_bf16_kernels();

}  // namespace diffuse::cpu
