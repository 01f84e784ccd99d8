#pragma once

// What attention on a tile unit does with rows of scores: they become weights, by the vector unit.
// Included once per instruction set that has a tile unit.

namespace diffuse::cpu::DIFFUSE_CPU_ISA {

/// Rows whose sums are kept at a time, at most, and steps of kStepKeys keys of a piece, at most.
constexpr std::int64_t kTileQueries = 512;
constexpr std::int64_t kMostPieceSteps = 8;
/// The sums of rows stay in the second cache (2 MiB where there are tiles) with a chunk of keys.
constexpr std::int64_t kRowBytes = 1024 * 1024;
/// The bits of 2^8: a weight beyond that moves its row's reference to the row's highest score.
constexpr short kMostWeight = 0x4380;

/// Rows whose sums are kept at a time.
inline std::int64_t tile_rows(std::int64_t head_dim) {
  std::int64_t rows = kTileQueries;
  while (rows > kGroupRows && rows * head_dim * 6 > kRowBytes) rows /= 2;
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
struct TileState {
  const AttentionBlock& block;
  TileLayout layout;
  std::int64_t first_row = 0;  ///< of the block, whose sums are kept
  Vec scale;                   ///< to units of log2
  float* scores[2];            ///< [steps][2 times 16 keys][kGroupRows][16]
  Bf16* weights[2];            ///< [steps][kGroupRows][kStepKeys]
  float* o;                    ///< [groups][columns][kGroupRows][16]
  Bf16* q;                     ///< as packed
  float* origin;               ///< [rows]: minus the reference, in units of log2
  float (*fall)[kGroupRows];   ///< the last reference minus a piece's, where that has moved, or 0
  bool fallen[2] = {};         ///< any

  explicit TileState(const AttentionBlock& of)
      : block(of), layout(of.head_dim), scale(set1(of.scale * 1.44269504088896341F)) {
    // Whole pages first, so that in all of these a row's lines lie alike within a page: nothing is
    // loaded that looks like what was stored just before.
    const std::int64_t rows = tile_rows(of.head_dim);
    scores[0] = static_cast<float*>(of.scratch);
    scores[1] = scores[0] + kMostPieceSteps * 4 * kTileSums;
    weights[0] = reinterpret_cast<Bf16*>(scores[1] + kMostPieceSteps * 4 * kTileSums);
    weights[1] = weights[0] + kMostPieceSteps * 2 * kTileValues;
    o = reinterpret_cast<float*>(weights[1] + kMostPieceSteps * 2 * kTileValues);
    q = reinterpret_cast<Bf16*>(o + rows * layout.columns * kTileLine);
    origin = reinterpret_cast<float*>(q + rows / kGroupRows * layout.key_step());
    fall = reinterpret_cast<float(*)[kGroupRows]>(origin + rows);
  }
  static std::int64_t bytes(std::int64_t head_dim) {
    const TileLayout layout(head_dim);
    const std::int64_t rows = tile_rows(head_dim);
    const std::int64_t floats = 2 * kMostPieceSteps * 4 * kTileSums +
                                rows * (layout.columns * kTileLine + 1) + 2 * kGroupRows;
    const std::int64_t values =
        2 * kMostPieceSteps * 2 * kTileValues + rows / kGroupRows * layout.key_step();
    return floats * 4 + values * 2;
  }
};

/// Weights of a row's scores, kSteps steps of them, and the bits of the highest in each lane: they
/// are not negative, so that the larger number has the larger bits.
template <int kSteps>
__m512i weigh_steps(const float* scores, Bf16* weights, Vec scale, Vec origin) {
  __m512i top = _mm512_setzero_si512();
  DIFFUSE_UNROLL
  for (int i = 0; i < kSteps; ++i) {
    const float* at = scores + i * 4 * kTileSums;
    const Vec a = exp2_vec<3>(fma(load(at), scale, origin));
    const Vec b = exp2_vec<3>(fma(load(at + 2 * kTileSums), scale, origin));
    const auto both = (__m512i)_mm512_cvtne2ps_pbh(b, a);
    _mm512_storeu_si512(weights + i * 2 * kTileValues, both);
    top = i == 0 ? both : _mm512_max_epu16(top, both);
  }
  return top;
}

/// The same for any number of steps.
inline __m512i weigh(const float* scores, Bf16* weights, std::int64_t steps, Vec scale,
                     Vec origin) {
  __m512i top = _mm512_setzero_si512();
  for (std::int64_t i = 0; i < steps; ++i) {
    top = _mm512_max_epu16(top, weigh_steps<1>(scores, weights, scale, origin));
    scores += 4 * kTileSums;
    weights += 2 * kTileValues;
  }
  return top;
}

inline bool too_heavy(__m512i weights) {
  return _mm512_cmpgt_epu16_mask(weights, _mm512_set1_epi16(kMostWeight)) != 0;
}

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
inline std::int64_t visible_keys(const TileState& state, const TilePiece& piece, std::int64_t row) {
  const std::int64_t present = state.block.keys - piece.key;
  if (!state.block.causal) return present;
  const std::int64_t index = state.block.first_row + state.first_row + piece.row + row;
  return smaller(present, index - piece.key + 1);
}

/// A row of a piece becomes weights, whatever is hidden from it and wherever its reference goes.
[[gnu::noinline]] inline void weigh_any_row(TileState& state, const TilePiece& piece,
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
  if (too_heavy(weigh(scores, weights, piece.steps, state.scale, set1(origin)))) {
    raise(scores, piece.steps, state.scale, origin, fall);
    state.fallen[piece.turn] = true;
    weigh(scores, weights, piece.steps, state.scale, set1(origin));
  }
}

/// A piece's rows become weights, one by one between products and stores of tiles of other pieces:
/// the two units work side by side for as long as neither has much to do at a time.
class TileRows {
 public:
  /// The rows are shared out among `others` of those.
  TileRows(TileState& state, const TilePiece& piece, std::int64_t others)
      : state_(state),
        piece_(piece),
        others_(others),
        rows_(piece.rows),
        scale_(state.scale),
        scores_(state.scores[piece.turn]),
        weights_(state.weights[piece.turn]),
        origin_(state.origin + piece.row),
        plain_(!piece.first && piece.steps == 2 && visible_keys(state, piece, 0) >= 2 * kStepKeys) {
  }

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
      const auto top = weigh_steps<2>(scores_ + row * kTileLine, weights_ + row * kStepKeys, scale_,
                                      set1(origin_[row]));
      if (!too_heavy(top)) return;
    }
    weigh_any_row(state_, piece_, row);
  }

  TileState& state_;
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
