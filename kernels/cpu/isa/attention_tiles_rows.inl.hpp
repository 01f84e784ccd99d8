#pragma once

// What attention on a tile unit does with rows of scores: they become weights, by the vector unit.
// Included once per instruction set that has a tile unit.

namespace diffuse::cpu::DIFFUSE_CPU_ISA {

/// Rows whose sums are kept at a time, at most.
constexpr std::int64_t kTileQueries = 512;
/// Steps of kStepKeys keys in most pieces, few, so that scores stay in the first cache; at most.
constexpr std::int64_t kPieceSteps = 2, kMostPieceSteps = 8;
/// The sums of rows stay in the second cache (2 MiB where there are tiles) with a chunk of keys.
constexpr std::int64_t kRowBytes = 1024 * 1024;
/// A weight beyond that moves its row's reference to the row's highest score.
constexpr float kMostWeight = 256;

/// Rows whose sums are kept at a time.
template <class N>
std::int64_t tile_rows(std::int64_t head_dim) {
  std::int64_t rows = kTileQueries;
  while (rows > kGroupRows && rows * head_dim * (4 + 2 * N::kProducts) > kRowBytes) rows /= 2;
  return rows;
}

/// Some keys and a group of query rows. Two pieces are under way at a time, in turns.
struct TilePiece {
  std::int64_t row, rows;   ///< among those whose sums are kept
  std::int64_t key, steps;  ///< steps of kStepKeys keys
  bool first;               ///< of the group
  int turn;
};

/// What rows have summed up so far, and what a piece needs.
template <class N>
struct TileState {
  const AttentionBlock& block;
  TileLayout<N> layout;
  std::int64_t first_row = 0;  ///< of the block, whose sums are kept
  Vec scale;                   ///< to units of log2
  float* scores[2];            ///< [steps][2 times 16 keys][kGroupRows][16]
  Bf16* weights[2];            ///< [steps][parts][kGroupRows][kStepKeys]
  float* o;                    ///< [groups][columns][kGroupRows][16]
  Bf16* q;                     ///< as packed
  float* origin;               ///< [rows]: minus the reference, in units of log2
  float (*fall)[kGroupRows];   ///< the last reference minus a piece's, where that has moved, or 0
  bool fallen[2] = {};         ///< any

  static constexpr std::int64_t kPieceWeights = kMostPieceSteps * N::kParts * 2 * kTileValues;

  explicit TileState(const AttentionBlock& of)
      : block(of), layout(of.head_dim), scale(set1(of.scale * 1.44269504088896341F)) {
    // Whole pages first, so that in all of these a row's lines lie alike within a page: nothing is
    // loaded that looks like what was stored just before.
    const std::int64_t rows = tile_rows<N>(of.head_dim);
    scores[0] = static_cast<float*>(of.scratch);
    scores[1] = scores[0] + kMostPieceSteps * 4 * kTileSums;
    weights[0] = reinterpret_cast<Bf16*>(scores[1] + kMostPieceSteps * 4 * kTileSums);
    weights[1] = weights[0] + kPieceWeights;
    o = reinterpret_cast<float*>(weights[1] + kPieceWeights);
    q = reinterpret_cast<Bf16*>(o + rows * layout.columns * kTileLine);
    origin = reinterpret_cast<float*>(q + rows / kGroupRows * layout.key_step());
    fall = reinterpret_cast<float(*)[kGroupRows]>(origin + rows);
  }
  static std::int64_t bytes(std::int64_t head_dim) {
    const TileLayout<N> layout(head_dim);
    const std::int64_t rows = tile_rows<N>(head_dim);
    const std::int64_t floats = 2 * kMostPieceSteps * 4 * kTileSums +
                                rows * (layout.columns * kTileLine + 1) + 2 * kGroupRows;
    const std::int64_t values = 2 * kPieceWeights + rows / kGroupRows * layout.key_step();
    return floats * 4 + values * 2;
  }
};

/// 32 weights of a row: a line of each part.
[[gnu::always_inline]] inline void put_weights(const Bf16Numbers& /*numbers*/, Vec a, Vec b,
                                               Bf16* to) {
  _mm512_storeu_si512(to, (__m512i)_mm512_cvtne2ps_pbh(b, a));
}
[[gnu::always_inline]] inline void put_weights(const SplitNumbers& /*numbers*/, Vec a, Vec b,
                                               Bf16* to) {
  __m512i lines[kSplitParts];
  split_line(a, b, lines);
  DIFFUSE_UNROLL
  for (int p = 0; p < kSplitParts; ++p) _mm512_storeu_si512(to + p * 2 * kTileValues, lines[p]);
}

/// Weights of a row's scores, kSteps steps of them, and the highest in each lane.
template <class N, int kSteps>
Vec weigh_steps(const float* scores, Bf16* weights, Vec scale, Vec origin) {
  Vec top = zero();
  DIFFUSE_UNROLL
  for (int i = 0; i < kSteps; ++i) {
    const float* at = scores + i * 4 * kTileSums;
    const Vec a = exp2_vec<N::kExpDegree>(fma(load(at), scale, origin));
    const Vec b = exp2_vec<N::kExpDegree>(fma(load(at + 2 * kTileSums), scale, origin));
    put_weights(N{}, a, b, weights + i * N::kParts * 2 * kTileValues);
    top = max(top, max(a, b));
  }
  return top;
}

/// The same for any number of steps.
template <class N>
Vec weigh(const float* scores, Bf16* weights, std::int64_t steps, Vec scale, Vec origin) {
  Vec top = zero();
  for (std::int64_t i = 0; i < steps; ++i) {
    top = max(top, weigh_steps<N, 1>(scores, weights, scale, origin));
    scores += 4 * kTileSums;
    weights += N::kParts * 2 * kTileValues;
  }
  return top;
}

inline bool too_heavy(Vec weights) { return any_greater(weights, set1(kMostWeight)); }

/// A row's scores from `count` on are hidden.
inline void hide_from(std::int64_t count, float* scores, std::int64_t steps) {
  static constexpr float kIndex[kLanes] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  for (std::int64_t v = 0; v < 2 * steps; ++v, count -= kLanes, scores += 2 * kTileSums) {
    if (count >= kLanes) continue;
    const Vec present = set1(static_cast<float>(count));
    store(scores, select_greater(present, load(kIndex), load(scores), set1(kHidden)));
  }
}

/// A row's reference becomes its highest score.
inline void raise(const float* scores, std::int64_t steps, Vec scale, float& origin, float& fall) {
  Vec top = load(scores);
  for (std::int64_t v = 1; v < 2 * steps; ++v) top = max(top, load(scores + v * 2 * kTileSums));
  const float highest = reduce_max(mul(top, scale));
  fall = -origin - highest;
  origin = -highest;
}

/// Keys from a piece's first one on that a row of it sees, if that many are in the piece.
template <class N>
std::int64_t visible_keys(const TileState<N>& state, const TilePiece& piece, std::int64_t row) {
  const std::int64_t present = state.block.keys - piece.key;
  if (!state.block.causal) return present;
  const std::int64_t index = state.block.first_row + state.first_row + piece.row + row;
  return smaller(present, index - piece.key + 1);
}

/// A row of a piece becomes weights, whatever is hidden from it and wherever its reference goes.
template <class N>
[[gnu::noinline]] void weigh_any_row(TileState<N>& state, const TilePiece& piece,
                                     std::int64_t row) {
  float* scores = state.scores[piece.turn] + row * kTileLine;
  Bf16* weights = state.weights[piece.turn] + row * kStepKeys;
  float& origin = state.origin[piece.row + row];
  float& fall = state.fall[piece.turn][row];
  const std::int64_t visible = visible_keys(state, piece, row);
  if (visible < piece.steps * kStepKeys) hide_from(visible, scores, piece.steps);
  if (piece.first) {
    origin = -kHidden;
    raise(scores, piece.steps, state.scale, origin, fall);
    fall = 0;
  }
  if (too_heavy(weigh<N>(scores, weights, piece.steps, state.scale, set1(origin)))) {
    raise(scores, piece.steps, state.scale, origin, fall);
    state.fallen[piece.turn] = true;
    weigh<N>(scores, weights, piece.steps, state.scale, set1(origin));
  }
}

/// A piece's rows become weights, one by one between products and stores of tiles of other pieces:
/// the two units work side by side for as long as neither has much to do at a time.
template <class N>
class TileRows {
 public:
  /// The rows are shared out among `others` of those.
  TileRows(TileState<N>& state, const TilePiece& piece, std::int64_t others)
      : state_(state),
        piece_(piece),
        others_(others),
        rows_(piece.rows),
        scale_(state.scale),
        scores_(state.scores[piece.turn]),
        weights_(state.weights[piece.turn]),
        origin_(state.origin + piece.row),
        plain_(!piece.first && piece.steps == kPieceSteps &&
               visible_keys(state, piece, 0) >= kPieceSteps * kStepKeys) {}

  [[gnu::always_inline]] void after_one() {
    met_ += rows_;
    if (met_ < others_) return;
    met_ -= others_;
    if (row_ < rows_) weigh_row();
  }
  [[gnu::always_inline]] void weigh_rest() {
    while (row_ < rows_) weigh_row();
  }

 private:
  [[gnu::always_inline]] void weigh_row() {
    const std::int64_t row = row_++;
    if (plain_) {
      const auto top = weigh_steps<N, kPieceSteps>(
          scores_ + row * kTileLine, weights_ + row * kStepKeys, scale_, set1(origin_[row]));
      if (!too_heavy(top)) return;
    }
    weigh_any_row(state_, piece_, row);
  }

  TileState<N>& state_;
  const TilePiece& piece_;
  std::int64_t others_, rows_;
  Vec scale_;
  const float* scores_;
  Bf16* weights_;
  const float* origin_;
  bool plain_;  ///< nothing is hidden, and there is a reference
  std::int64_t met_ = 0, row_ = 0;
};

}  // namespace diffuse::cpu::DIFFUSE_CPU_ISA
