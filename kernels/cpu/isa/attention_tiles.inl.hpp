#pragma once

// Attention on a tile unit (isa/tiles.hpp), after isa/attention.inl.hpp: 32 query rows meet the
// keys in pieces, in order. The unit's products of one piece run while the vector unit weighs the
// scores of another. Every product is one of whole tiles, with zeros where there is no row, key or
// dimension, so that a row gets the same bytes whatever rows it comes with. Included once per
// instruction set that has such a unit.

namespace diffuse::cpu::DIFFUSE_CPU_ISA {

/// Rows that the caller gives at most, and that it may cut into shares of kGroupRows.
constexpr std::int64_t kTileQueries = 512;
constexpr std::int64_t kMostPieceSteps = 8;
/// Keys and values that all groups of rows meet before they meet more stay in the second cache
/// (2 MiB where there are tiles), as do the rows' sums.
constexpr std::int64_t kChunkBytes = 512 * 1024;
constexpr std::int64_t kRowBytes = 1024 * 1024;
/// A sum of weights beyond which a row's reference moves to its highest score; they are 1 there.
constexpr float kMostWeight = 256.0F;

/// Steps of kStepKeys keys in a piece: few, so that scores stay in the first cache; more where each
/// piece loads and stores long rows of sums, and where a second piece would be mostly empty.
inline std::int64_t piece_steps(std::int64_t keys, std::int64_t head_dim) {
  if (head_dim > 192) return kMostPieceSteps;
  return keys <= 4 * kStepKeys ? 4 : 2;
}

/// Rows whose sums are kept at a time.
inline std::int64_t tile_rows(std::int64_t head_dim) {
  std::int64_t rows = kTileQueries;
  while (rows > kGroupRows && rows * head_dim * 6 > kRowBytes) rows /= 2;
  return rows;
}

/// Some keys and a group of query rows. Two pieces are under way at a time, in turns.
struct TilePiece {
  std::int64_t row, rows;   ///< of the rows whose sums are kept
  std::int64_t key, steps;  ///< steps of kStepKeys keys
  bool first;               ///< of the group
  int turn;
};

/// What rows have summed up so far, and what a piece needs.
struct TileState {
  const AttentionBlock& block;
  std::int64_t first_row = 0;  ///< of the rows whose sums are kept, in the block
  TileLayout layout;
  Vec scale;
  float* o;                   ///< [groups][columns][2 tiles]
  float* total;               ///< [rows][kLanes]: sums of lanes
  float* scores[2];           ///< [steps][2 times 16 rows][2 tiles]
  float* reference;           ///< [rows], in units of log2
  float (*fall)[kGroupRows];  ///< by which a piece's reference is above the one before it, or 0
  Bf16* weights[2];           ///< [steps][2 times 16 rows]
  Bf16* q;                    ///< as packed
  bool fallen[2] = {};        ///< any

  explicit TileState(const AttentionBlock& of)
      : block(of), layout(of.head_dim), scale(set1(of.scale * 1.44269504088896341F)) {
    const std::int64_t rows = tile_rows(of.head_dim);
    o = static_cast<float*>(of.scratch);
    total = o + rows / kTileLine * layout.columns * kTileSums;
    scores[0] = total + rows * kLanes;
    scores[1] = scores[0] + kMostPieceSteps * 4 * kTileSums;
    reference = scores[1] + kMostPieceSteps * 4 * kTileSums;
    fall = reinterpret_cast<float(*)[kGroupRows]>(reference + rows);
    weights[0] = reinterpret_cast<Bf16*>(fall + 2);
    weights[1] = weights[0] + kMostPieceSteps * 2 * kTileValues;
    q = weights[1] + kMostPieceSteps * 2 * kTileValues;
  }
  static std::int64_t bytes(std::int64_t head_dim) {
    const TileLayout layout(head_dim);
    const std::int64_t rows = tile_rows(head_dim);
    const std::int64_t floats = rows * (layout.columns * kTileLine + kLanes + 1) + 2 * kGroupRows +
                                2 * kMostPieceSteps * 4 * kTileSums;
    const std::int64_t values = 2 * kMostPieceSteps * 2 * kTileValues + rows * layout.depth * 32;
    return floats * 4 + values * 2;
  }
};

/// Weights of kSteps steps of scores, and their sum.
template <int kSteps>
Vec weigh_steps(const float* scores, Bf16* weights, Vec scale, Vec origin) {
  Vec sum[kSteps];
  DIFFUSE_UNROLL
  for (int i = 0; i < kSteps; ++i) {
    const float* at = scores + i * 4 * kTileSums;
    const Vec a = exp2_vec<3>(fma(load(at), scale, origin));
    const Vec b = exp2_vec<3>(fma(load(at + kTileSums), scale, origin));
    _mm512_storeu_si512(weights + i * 2 * kTileValues, (__m512i)_mm512_cvtne2ps_pbh(b, a));
    sum[i] = add(a, b);
  }
  DIFFUSE_UNROLL
  for (int i = 1; i < kSteps; ++i) sum[0] = add(sum[0], sum[i]);
  return sum[0];
}

inline Vec weigh(const float* scores, Bf16* weights, std::int64_t steps, Vec scale,
                 float reference) {
  const Vec origin = set1(-reference);
  if (steps == 2) return weigh_steps<2>(scores, weights, scale, origin);
  Vec sum = zero();
  for (std::int64_t i = 0; i < steps; ++i) {
    sum = add(sum, weigh_steps<1>(scores + i * 4 * kTileSums, weights + i * 2 * kTileValues, scale,
                                  origin));
  }
  return sum;
}

/// Scores from `count` on are hidden.
inline void hide_from(std::int64_t count, float* scores, std::int64_t steps) {
  static constexpr float kIndex[kLanes] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  for (std::int64_t v = 0; v < 2 * steps; ++v, count -= kLanes) {
    if (count >= kLanes) continue;
    float* at = scores + (v / 2 * 4 + v % 2) * kTileSums;
    const Vec present = set1(static_cast<float>(count));
    store(at, select_greater(present, load(kIndex), load(at), set1(kHidden)));
  }
}

/// A row's reference becomes its highest score; its total is scaled to that.
inline void raise(const float* scores, std::int64_t steps, Vec scale, float* total,
                  float& reference, float& fall) {
  Vec top = load(scores);
  for (std::int64_t v = 1; v < 2 * steps; ++v) {
    top = max(top, load(scores + (v / 2 * 4 + v % 2) * kTileSums));
  }
  const float highest = reduce_max(mul(top, scale));
  fall = reference - highest;
  reference = highest;
  store(total, mul(load(total), exp2_vec<3>(set1(fall))));
}

/// Row r of a piece: scores to weights.
inline void weigh_row(TileState& state, const TilePiece& piece, std::int64_t r) {
  const std::int64_t line = r % kTileLine;
  float* scores = state.scores[piece.turn] + r / kTileLine * 2 * kTileSums + line * kTileLine;
  Bf16* weights = state.weights[piece.turn] + r / kTileLine * kTileValues + line * 32;
  float* total = state.total + (piece.row + r) * kLanes;
  float& reference = state.reference[piece.row + r];
  float& fall = state.fall[piece.turn][r];
  const AttentionBlock& block = state.block;
  std::int64_t visible = block.keys - piece.key;
  if (block.causal) {
    const std::int64_t row = block.first_row + state.first_row + piece.row + r;
    visible = smaller(visible, row - piece.key + 1);
  }
  if (visible < piece.steps * kStepKeys) hide_from(visible, scores, piece.steps);
  if (piece.first) {
    reference = kHidden;
    store(total, zero());
    raise(scores, piece.steps, state.scale, total, reference, fall);
  }
  Vec sum = weigh(scores, weights, piece.steps, state.scale, reference);
  if (any_greater(sum, set1(kMostWeight))) {
    raise(scores, piece.steps, state.scale, total, reference, fall);
    state.fallen[piece.turn] = true;
    sum = weigh(scores, weights, piece.steps, state.scale, reference);
  }
  store(total, add(load(total), sum));
}

/// A piece's rows, some after every few products of other pieces.
struct TileRows {
  TileState& state;
  const TilePiece& piece;
  std::int64_t products;  ///< of tiles, of the other pieces
  std::int64_t met = 0, next = 0;

  [[gnu::noinline]] void weigh_to(std::int64_t end) {
    for (; next < end; ++next) weigh_row(state, piece, next);
  }
  void after(int some) {
    met += some * piece.rows;
    const std::int64_t begin = next;
    std::int64_t end = begin;
    for (; met >= products; met -= products) ++end;
    if (end > begin) weigh_to(smaller(end, piece.rows));
  }
};

/// A piece's scores: 32 rows and 32 keys at a time.
template <class Tiles>
void tile_scores(const TileState& state, const TilePiece& piece, TileRows& rows) {
  const TileLayout& layout = state.layout;
  const Bf16* keys =
      static_cast<const Bf16*>(state.block.packed_keys) + piece.key / kStepKeys * layout.key_step();
  float* scores = state.scores[piece.turn];
  for (std::int64_t i = 0; i < piece.steps; ++i, scores += 4 * kTileSums) {
    const Bf16* q = state.q + piece.row / kGroupRows * layout.key_step();
    Tiles::template zero<0>();
    Tiles::template zero<1>();
    Tiles::template zero<2>();
    Tiles::template zero<3>();
    for (std::int64_t d = 0; d < layout.depth; ++d) {
      Tiles::template load_once<6>(keys, 64);
      Tiles::template load<4>(q, 64);
      Tiles::template multiply_add<0, 4, 6>();
      Tiles::template load_once<7>(keys + kTileValues, 64);
      Tiles::template multiply_add<1, 4, 7>();
      Tiles::template load<5>(q + kTileValues, 64);
      Tiles::template multiply_add<2, 5, 6>();
      Tiles::template multiply_add<3, 5, 7>();
      keys += 2 * kTileValues;
      q += 2 * kTileValues;
      rows.after(4);
    }
    Tiles::template store<0>(scores, 64);
    Tiles::template store<1>(scores + kTileSums, 64);
    Tiles::template store<2>(scores + 2 * kTileSums, 64);
    Tiles::template store<3>(scores + 3 * kTileSums, 64);
  }
}

/// o (+)= weights * values for C tiles of columns.
template <class Tiles, int C>
void tile_outputs(const TileState& state, const TilePiece& piece, const Bf16* values, float* o,
                  TileRows& rows) {
  if (piece.first) {
    Tiles::template zero<0>();
    Tiles::template zero<1>();
    if constexpr (C == 2) {
      Tiles::template zero<2>();
      Tiles::template zero<3>();
    }
  } else {
    Tiles::template load<0>(o, 64);
    Tiles::template load<1>(o + kTileSums, 64);
    if constexpr (C == 2) {
      Tiles::template load<2>(o + 2 * kTileSums, 64);
      Tiles::template load<3>(o + 3 * kTileSums, 64);
    }
  }
  const Bf16* weights = state.weights[piece.turn];
  for (std::int64_t i = 0; i < piece.steps; ++i) {
    Tiles::template load<4>(weights, 64);
    Tiles::template load_once<6>(values, 64);
    Tiles::template multiply_add<0, 4, 6>();
    Tiles::template load<5>(weights + kTileValues, 64);
    Tiles::template multiply_add<1, 5, 6>();
    if constexpr (C == 2) {
      Tiles::template load_once<7>(values + kTileValues, 64);
      Tiles::template multiply_add<2, 4, 7>();
      Tiles::template multiply_add<3, 5, 7>();
    }
    weights += 2 * kTileValues;
    values += state.layout.value_step();
    rows.after(2 * C);
  }
  Tiles::template store<0>(o, 64);
  Tiles::template store<1>(o + kTileSums, 64);
  if constexpr (C == 2) {
    Tiles::template store<2>(o + 2 * kTileSums, 64);
    Tiles::template store<3>(o + 3 * kTileSums, 64);
  }
}

/// The sums of rows whose reference has moved follow it.
inline void tile_rescale(TileState& state, const TilePiece& piece, float* o) {
  for (std::int64_t r = 0; r < piece.rows; ++r) {
    float& fall = state.fall[piece.turn][r];
    if (fall != 0 && !piece.first) {
      const Vec shrink = exp2_vec<3>(set1(fall));
      float* at = o + r * kTileLine;
      for (std::int64_t c = 0; c < state.layout.columns; ++c, at += 2 * kTileSums) {
        store(at, mul(load(at), shrink));
      }
    }
    fall = 0;
  }
  state.fallen[piece.turn] = false;
}

template <class Tiles>
void tile_all_outputs(TileState& state, const TilePiece& piece, TileRows& rows) {
  if (piece.steps == 0) return;
  const std::int64_t columns = state.layout.columns;
  float* o = state.o + piece.row / kTileLine * columns * kTileSums;
  const Bf16* values = static_cast<const Bf16*>(state.block.packed_values) +
                       piece.key / kStepKeys * state.layout.value_step();
  if (piece.first || state.fallen[piece.turn]) tile_rescale(state, piece, o);
  for (std::int64_t c = 0; c < columns; c += 2) {
    if (c + 1 < columns) {
      tile_outputs<Tiles, 2>(state, piece, values, o, rows);
    } else {
      tile_outputs<Tiles, 1>(state, piece, values, o, rows);
    }
    values += 2 * kTileValues;
    o += 4 * kTileSums;
  }
}

/// Pieces in order, each in three stages: scores, weights, outputs. Three pieces are in a stage
/// each.
template <class Tiles>
class TilePipeline {
 public:
  explicit TilePipeline(TileState& state) : state_(state) {}
  void push(const TilePiece& next) {
    const std::int64_t products =
        next.steps * 4 * state_.layout.depth + outputs_.steps * 2 * state_.layout.columns;
    TileRows rows{state_, weights_, products > 0 ? products : 1};
    tile_scores<Tiles>(state_, next, rows);
    tile_all_outputs<Tiles>(state_, outputs_, rows);
    rows.weigh_to(weights_.rows);
    outputs_ = weights_;
    weights_ = next;
  }

 private:
  TileState& state_;
  TilePiece weights_{}, outputs_{};
};

/// Rows from state.first_row on meet all keys.
template <class Tiles>
void tile_meet_keys(TileState& state, std::int64_t rows) {
  const AttentionBlock& block = state.block;
  const std::int64_t piece = piece_steps(block.keys, block.head_dim) * kStepKeys;
  const std::int64_t bytes = (state.layout.key_step() + state.layout.value_step()) * 2;
  const std::int64_t pieces = kChunkBytes / bytes * kStepKeys / piece;
  const std::int64_t chunk = pieces > 0 ? pieces * piece : piece;
  TilePipeline<Tiles> pipeline(state);
  int turn = 0;
  for (std::int64_t k = 0; k < block.keys; k += chunk) {
    for (std::int64_t row = 0; row < rows; row += kGroupRows) {
      TilePiece next{row, smaller(kGroupRows, rows - row), k, 0, k == 0, 0};
      std::int64_t end = smaller(block.keys, k + chunk);
      if (block.causal) end = smaller(end, block.first_row + state.first_row + row + next.rows);
      for (; next.key < end; next.key += piece, next.first = false) {
        next.steps = (smaller(piece, end - next.key) + kStepKeys - 1) / kStepKeys;
        next.turn = turn;
        pipeline.push(next);
        turn = 1 - turn;
      }
    }
  }
  pipeline.push({});
  pipeline.push({});
}

inline void tile_put(const TileState& state, std::int64_t rows) {
  const AttentionBlock& block = state.block;
  const std::int64_t columns = state.layout.columns;
  for (std::int64_t r = 0; r < rows; ++r) {
    auto* to = static_cast<Bf16*>(block.y) + (state.first_row + r) * block.y_stride;
    const float* o =
        state.o + r / kGroupRows * 2 * columns * kTileSums + r % kGroupRows * kTileLine;
    const Vec factor = set1(1.0F / reduce_add(load(state.total + r * kLanes)));
    // A sum of -0 has not met the same zeros in every group of rows.
    for (std::int64_t d = 0; d < block.head_dim; d += kLanes, o += 2 * kTileSums) {
      const Vec y = fma(load(o), factor, zero());
      if (d + kLanes <= block.head_dim) {
        store(to + d, y);
      } else {
        store_n(to + d, y, static_cast<int>(block.head_dim - d));
      }
    }
  }
}

template <class Tiles>
void tile_attention_block(const AttentionBlock& block) {
  TileState state(block);
  // Where there are fewer rows than a group has, the weights are finite.
  __builtin_memset(state.weights[0], 0, 2 * kMostPieceSteps * 2 * kTileValues * sizeof(Bf16));
  __builtin_memset(state.fall, 0, 2 * sizeof(*state.fall));
  Tiles::begin();
  for (; state.first_row < block.rows; state.first_row += tile_rows(block.head_dim)) {
    const std::int64_t rows = smaller(tile_rows(block.head_dim), block.rows - state.first_row);
    tile_pack_queries(block, state.first_row, rows, state.q);
    tile_meet_keys<Tiles>(state, rows);
    tile_put(state, rows);
  }
  Tiles::end();
}

template <class Tiles>
constexpr AttentionKernels tile_attention_kernels() {
  return {kTileQueries,   kGroupRows,       tile_packed_bytes,          TileState::bytes,
          tile_pack_keys, tile_pack_values, tile_attention_block<Tiles>};
}

}  // namespace diffuse::cpu::DIFFUSE_CPU_ISA
