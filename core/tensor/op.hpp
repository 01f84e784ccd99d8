#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <variant>

#include "core/tensor/tensor.hpp"

namespace diffuse {

enum class Activation : std::uint8_t {
  none,
  silu,        ///< x / (1 + exp(-x))
  gelu,        ///< x * (1 + erf(x / sqrt 2)) / 2, the exact form
  quick_gelu,  ///< x / (1 + exp(-1.702 x))
};

// The op list. Each struct is one op with its operands already checked by `Ops`; an empty tensor is
// an absent operand. Activations are [N, H, W, C] or [N, T, C], all of the run's dtype unless said
// otherwise; accumulation is f32. "rows" may be strided where said, else operands are contiguous.

/// y[n,t,:] = tokens[ids[n,t],:] + positions[t,:].  ids i32 [N, T], 0 <= id < V; y [N, T, C].
struct EmbeddingOp {
  Tensor ids;
  Weight tokens, positions;
  Tensor y;
};

/// y = activation(x W^T + bias) + residual.  x [.., in]; W [out, in]; bias f32 [out]; residual as
/// y. y [.., out] of x's dtype, or f32. Rows of x, residual and y may be strided. residual may be y
/// itself. With `geglu`, which only comes where the backend fuses it: y = GegluOp of x W^T + bias,
/// [.., out / 2].
struct LinearOp {
  Tensor x;
  Weight weight;
  Tensor bias, residual;
  Activation activation = Activation::none;
  Tensor y;
  bool geglu = false;
};

/// y = x * W + bias + residual, zero padding.  x [N, H, W, C]; W [O, C, kh, kw]; bias f32 [O];
/// y [N, (H + pad_top + pad_bottom - kh) / stride + 1, .., O].
struct Conv2dOp {
  Tensor x;
  Weight weight;
  Tensor bias, residual;
  int stride = 1;
  int pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
  Tensor y;
};

/// y[n,h,w,c] = activation((x - mean_g) / sqrt(var_g + eps) * scale[c] + shift[c]); mean and biased
/// variance of group g over (H, W, C / groups) of one picture, in f32 or better.  scale, shift f32
/// [C]. Source: Wu & He 2018, arXiv:1803.08494.
struct GroupNormOp {
  Tensor x, scale, shift;
  int groups = 0;
  float eps = 0;
  Activation activation = Activation::none;
  Tensor y;
};

/// y = (x - mean) / sqrt(var + eps) * scale + shift over the last dimension.  scale, shift f32 [C].
struct LayerNormOp {
  Tensor x, scale, shift;
  float eps = 0;
  Tensor y;
};

/// y[n,i,h,:] = sum_j softmax_j(scale * q[n,i,h,:] . k[n,j,h,:]) v[n,j,h,:], scores and softmax in
/// f32. q, y [N, Tq, heads * D]; k, v [N, Tk, heads * D]; rows may be strided (packed QKV). causal:
/// j <= i only. upcast: products in f32 whatever the dtype.  Source: Vaswani et al. 2017,
/// arXiv:1706.03762; never stores the score matrix (Dao et al. 2022, arXiv:2205.14135).
struct AttentionOp {
  Tensor q, k, v;
  int heads = 0;
  float scale = 0;
  bool causal = false;
  bool upcast = false;
  Tensor y;
};

/// y[..,c] = x[..,c] * gelu(x[..,C + c]), exact erf.  x [.., 2 C]; y [.., C].
/// Source: Shazeer 2020, arXiv:2002.05202; diffusers `activations.py`.
struct GegluOp {
  Tensor x, y;
};

/// y = activation(x), same shape. In place is allowed (y == x).
struct ActivationOp {
  Tensor x;
  Activation activation = Activation::none;
  Tensor y;
};

/// y[n,i,j,:] = x[n, i * H / H2, j * W / W2, :] (integer division).  x [N, H, W, C]; y [N, H2, W2,
/// C].
struct UpsampleNearestOp {
  Tensor x, y;
};

/// y[..] = a followed by b along the last dimension; all other dimensions equal.
struct ConcatChannelsOp {
  Tensor a, b, y;
};

/// y = x element by element, converted to y's dtype; x's first dimension divides y's, entries
/// repeat: y[n] = x[n mod x.shape[0]].  Rows of both may be strided.
struct CopyOp {
  Tensor x, y;
};

/// y[0,:] = table[*step,:].  table [S, C]; step i32 [1], 0 <= *step < S; y [1, C] of the same
/// dtype.
struct SelectRowOp {
  Tensor table, step, y;
};

/// y[n] = factors[*step] * x[n mod N].  x f32 [N, ..]; factors f32 [S]; y [N or 2 N, ..] of any
/// float dtype.
struct ScaleInputOp {
  Tensor x, factors, step, y;
};

/// Guidance, then row *step of a scheduler's table (`StepRow`, core/base/step_row.hpp), then *step
/// += 1.
///   e = noise_pred                                     noise_pred [N, ..]
///   e = u + guidance[n,0] (c - u)                      noise_pred [2 N, ..], u the first half, c
///   the second if guidance[n,1] > 0:                              e += guidance[n,1] (e std(c) /
///   std(e) - e),
///                                                      std unbiased over one picture
///                                                      (arXiv:2305.08891, §3.4)
/// sample f32 [N, ..] is updated in place; saved f32 [N, ..]; history f32 [3, N * ..]; noise f32
/// [N, ..]; guidance f32 [N, 2]; rows u8 [S, sizeof(StepRow)]; step i32 [1]. Absent operands are
/// never needed by a row.
struct SchedulerStepOp {
  Tensor sample, noise_pred, guidance, rows, step;
  Tensor saved, history, noise;
};

/// y = round_half_even(255 clamp(x / 2 + 1/2, 0, 1)).  x [N, H, W, 3]; y u8 [N, H, W, 3].
/// A NaN becomes 0: latents are checked for non-finite values before.
struct PixelsOp {
  Tensor x, y;
};

using Op = std::variant<EmbeddingOp, LinearOp, Conv2dOp, GroupNormOp, LayerNormOp, AttentionOp,
                        GegluOp, ActivationOp, UpsampleNearestOp, ConcatChannelsOp, CopyOp,
                        SelectRowOp, ScaleInputOp, SchedulerStepOp, PixelsOp>;

/// "conv2d", "group_norm", ...
std::string_view name_of(const Op& op);

/// How an op touches an operand.
enum class Access : std::uint8_t { read, write, update };

/// Calls `visit` for every operand that is present, inputs first.
void for_each_tensor(const Op& op, const std::function<void(const Tensor&, Access)>& visit);

/// Floors of one op: floating-point operations of its matrix products (2 per multiply-add; other
/// work is not counted), bytes of activations read and written once, bytes of weights read once.
struct OpCost {
  double flops = 0;
  double activation_bytes = 0;
  double weight_bytes = 0;
};
OpCost cost_of(const Op& op);

}  // namespace diffuse
