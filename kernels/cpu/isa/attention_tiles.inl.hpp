#pragma once

// Attention on a tile unit (isa/tiles.hpp), after isa/attention.inl.hpp: 32 query rows meet the
// keys in pieces, in order. The unit's products of one piece run while the vector unit weighs the
// scores of another. Every product is one of whole tiles, with zeros where there is no row, key or
// dimension, so that a row gets the same bytes whatever rows it comes with. Included once per
// instruction set that has such a unit.

namespace diffuse::cpu::DIFFUSE_CPU_ISA {

/// Keys and values that all groups of rows meet before they meet more stay in the second cache.
constexpr std::int64_t kChunkBytes = 512 * 1024;

/// Steps of kStepKeys keys in a piece: more where each piece loads and stores long rows of sums,
/// and where a second piece would be mostly empty.
inline std::int64_t piece_steps(std::int64_t keys, std::int64_t head_dim) {
  if (head_dim > 192) return kMostPieceSteps;
  return keys <= 4 * kStepKeys ? 4 : kPieceSteps;
}

/// The first kTiles registers, one behind the other.
template <class Tiles, int kTiles, class Rows>
[[gnu::always_inline]] inline void tile_store(float* to, Rows& rows) {
  Tiles::template store<0>(to, 64);
  rows.after_one();
  Tiles::template store<1>(to + kTileSums, 64);
  rows.after_one();
  if constexpr (kTiles == 4) {
    Tiles::template store<2>(to + 2 * kTileSums, 64);
    rows.after_one();
    Tiles::template store<3>(to + 3 * kTileSums, 64);
    rows.after_one();
  }
}

/// Two tiles of rows, parts one after the other, and one or two of keys or columns of values, whose
/// parts are kApart values from another and which are themselves kNext apart.
template <class Tiles, class N, int C, std::int64_t kApart, std::int64_t kNext>
struct TileFactors {
  const Bf16 *a, *b;
  TileRows<N>& rows;

  template <int kPart>
  [[gnu::always_inline]] void take_a() const {
    Tiles::template load<4>(a + (kPart - 1) * 2 * kTileValues, 64);
    Tiles::template load<5>(a + (kPart - 1) * 2 * kTileValues + kTileValues, 64);
  }
  template <int kPart>
  [[gnu::always_inline]] void take_b() const {
    Tiles::template load_once<6>(b + (kPart - 1) * kApart, 64);
    if constexpr (C == 2) Tiles::template load_once<7>(b + kNext + (kPart - 1) * kApart, 64);
  }
  [[gnu::always_inline]] void multiply() const {
    Tiles::template multiply_add<0, 4, 6>();
    rows.after_one();
    Tiles::template multiply_add<1, 5, 6>();
    rows.after_one();
    if constexpr (C == 2) {
      Tiles::template multiply_add<2, 4, 7>();
      rows.after_one();
      Tiles::template multiply_add<3, 5, 7>();
      rows.after_one();
    }
  }
  [[gnu::always_inline]] void one_line() const {
    Tiles::template load_once<6>(b, 64);
    Tiles::template load<4>(a, 64);
    Tiles::template multiply_add<0, 4, 6>();
    rows.after_one();
    Tiles::template load<5>(a + kTileValues, 64);
    Tiles::template multiply_add<1, 5, 6>();
    rows.after_one();
    if constexpr (C == 2) {
      Tiles::template load_once<7>(b + kNext, 64);
      Tiles::template multiply_add<2, 4, 7>();
      rows.after_one();
      Tiles::template multiply_add<3, 5, 7>();
      rows.after_one();
    }
  }
  /// The smallest products first.
  [[gnu::always_inline]] void all_parts() const {
    if constexpr (N::kParts == 1) return one_line();
    take_a<3>();
    take_b<1>();
    multiply();
    take_a<2>();
    multiply();
    take_b<2>();
    multiply();
    take_a<1>();
    multiply();
    take_b<3>();
    multiply();
    take_b<1>();
    multiply();
  }
};

/// A piece's scores, 32 rows and 32 keys at a time. Keys and values are loaded past the first
/// cache, which has no room for them beside what is met again and again.
template <class Tiles, class N>
[[gnu::always_inline]] inline void tile_scores(const TileState<N>& state, const TilePiece& piece,
                                               TileRows<N>& rows) {
  const TileLayout<N>& layout = state.layout;
  const Bf16* keys =
      static_cast<const Bf16*>(state.block.packed_keys) + piece.key / kStepKeys * layout.key_step();
  float* scores = state.scores[piece.turn];
  for (std::int64_t i = 0; i < piece.steps; ++i, scores += 4 * kTileSums) {
    const Bf16* q = state.q + piece.row / kGroupRows * layout.key_step();
    Tiles::template zero<0>();
    Tiles::template zero<1>();
    Tiles::template zero<2>();
    Tiles::template zero<3>();
    TileFactors<Tiles, N, 2, 2 * kTileValues, kTileValues> factors{q, keys, rows};
    for (std::int64_t d = 0; d < layout.whole; ++d) {
      factors.all_parts();
      factors.a += N::kParts * 2 * kTileValues;
      factors.b += N::kParts * 2 * kTileValues;
    }
    for (std::int64_t d = 0; d < layout.lines; ++d) {
      factors.one_line();
      factors.a += 2 * kTileValues;
      factors.b += 2 * kTileValues;
    }
    keys = factors.b;
    tile_store<Tiles, 4>(scores, rows);
  }
}

/// o (+)= weights * values for C tiles of columns.
template <class Tiles, class N, int C>
[[gnu::always_inline]] inline void tile_outputs(const TileState<N>& state, const TilePiece& piece,
                                                const Bf16* values, float* o, TileRows<N>& rows) {
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
  TileFactors<Tiles, N, C, kTileValues, N::kParts * kTileValues> factors{state.weights[piece.turn],
                                                                         values, rows};
  for (std::int64_t i = 0; i < piece.steps; ++i) {
    factors.all_parts();
    factors.a += N::kParts * 2 * kTileValues;
    factors.b += state.layout.value_step();
  }
  tile_store<Tiles, 2 * C>(o, rows);
}

/// The sums of rows whose reference has moved follow it.
template <class N>
void tile_rescale(TileState<N>& state, const TilePiece& piece, float* o) {
  for (std::int64_t r = 0; r < piece.rows; ++r, o += kTileLine) {
    float& fall = state.fall[piece.turn][r];
    if (fall == 0) continue;
    const Vec shrink = exp2_vec<N::kExpDegree>(set1(fall));
    for (std::int64_t c = 0; c < state.layout.columns; ++c) {
      float* at = o + c * 2 * kTileSums;
      store(at, mul(load(at), shrink));
    }
    fall = 0;
  }
  state.fallen[piece.turn] = false;
}

template <class Tiles, class N>
[[gnu::always_inline]] inline void tile_all_outputs(TileState<N>& state, const TilePiece& piece,
                                                    TileRows<N>& rows) {
  if (piece.steps == 0) return;
  const std::int64_t columns = state.layout.columns;
  float* o = state.o + piece.row * columns * kTileLine;
  const Bf16* values = static_cast<const Bf16*>(state.block.packed_values) +
                       piece.key / kStepKeys * state.layout.value_step();
  if (state.fallen[piece.turn]) tile_rescale(state, piece, o);
  for (std::int64_t c = 0; c < columns; c += 2) {
    if (c + 1 < columns) {
      tile_outputs<Tiles, N, 2>(state, piece, values, o, rows);
    } else {
      tile_outputs<Tiles, N, 1>(state, piece, values, o, rows);
    }
    values += 2 * N::kParts * kTileValues;
    o += 4 * kTileSums;
  }
}

/// Pieces in order, each in three stages: scores, weights, outputs. Three pieces are under way, one
/// in each stage.
template <class Tiles, class N>
class TilePipeline {
 public:
  explicit TilePipeline(TileState<N>& state) : state_(state) {}
  void push(const TilePiece& next) {
    // Products and stores of the pieces in the first stage and in the last.
    const std::int64_t others = next.steps * (state_.layout.score_products() + 4) +
                                (outputs_.steps * N::kProducts + 1) * 2 * state_.layout.columns;
    TileRows<N> rows(state_, weights_, others);
    tile_scores<Tiles>(state_, next, rows);
    tile_all_outputs<Tiles>(state_, outputs_, rows);
    rows.weigh_rest();
    outputs_ = weights_;
    weights_ = next;
  }
  void finish() {
    push({});
    push({});
  }

 private:
  TileState<N>& state_;
  TilePiece weights_{}, outputs_{};
};

/// The rows from state.first_row on meet all keys.
template <class Tiles, class N>
void tile_meet_keys(TileState<N>& state, std::int64_t rows) {
  const AttentionBlock& block = state.block;
  const std::int64_t piece = piece_steps(block.keys, block.head_dim) * kStepKeys;
  const std::int64_t key_bytes = (state.layout.key_step() + state.layout.value_step()) * 2;
  const std::int64_t pieces = kChunkBytes / key_bytes * kStepKeys / piece;
  const std::int64_t chunk = pieces > 0 ? pieces * piece : piece;
  TilePipeline<Tiles, N> pipeline(state);
  int turn = 0;
  for (std::int64_t k = 0; k < block.keys; k += chunk) {
    for (std::int64_t row = 0; row < rows; row += kGroupRows) {
      TilePiece next{row, smaller(kGroupRows, rows - row), k, 0, false, 0};
      std::int64_t end = smaller(block.keys, k + chunk);
      if (block.causal) end = smaller(end, block.first_row + state.first_row + row + next.rows);
      for (; next.key < end; next.key += piece) {
        next.steps = (smaller(piece, end - next.key) + kStepKeys - 1) / kStepKeys;
        next.first = next.key == 0;
        next.turn = turn;
        pipeline.push(next);
        turn = 1 - turn;
      }
    }
  }
  pipeline.finish();
}

template <class N>
void tile_put(const TileState<N>& state, std::int64_t rows) {
  const AttentionBlock& block = state.block;
  const std::int64_t columns = state.layout.columns;
  for (std::int64_t r = 0; r < rows; ++r) {
    auto* to = static_cast<typename N::Element*>(block.y) + (state.first_row + r) * block.y_stride;
    const float* o =
        state.o + r / kGroupRows * 2 * columns * kTileSums + r % kGroupRows * kTileLine;
    const float total = o[block.head_dim / kLanes * 2 * kTileSums + block.head_dim % kLanes];
    const Vec factor = set1(1.0F / total);
    for (std::int64_t d = 0; d < block.head_dim; d += kLanes, o += 2 * kTileSums) {
      // Not every row meets the hidden keys of others, which make a sum of -0 to 0: so do all.
      const Vec y = fma(load(o), factor, zero());
      if (d + kLanes <= block.head_dim) {
        store(to + d, y);
      } else {
        store_n(to + d, y, static_cast<int>(block.head_dim - d));
      }
    }
  }
}

template <class Tiles, class N>
void tile_attention_block(const AttentionBlock& block) {
  TileState<N> state(block);
  // The weights of rows that are not there are met as well, and may be anything finite.
  __builtin_memset(state.weights[0], 0, 2 * TileState<N>::kPieceWeights * sizeof(Bf16));
  __builtin_memset(state.fall, 0, 2 * sizeof(*state.fall));
  Tiles::begin();
  for (; state.first_row < block.rows; state.first_row += tile_rows<N>(block.head_dim)) {
    const std::int64_t rows = smaller(tile_rows<N>(block.head_dim), block.rows - state.first_row);
    tile_pack_queries<N>(block, state.first_row, rows, state.q);
    tile_meet_keys<Tiles>(state, rows);
    tile_put(state, rows);
  }
  Tiles::end();
}

template <class Tiles, class N>
constexpr AttentionKernels tile_attention_kernels() {
  return {
      kTileQueries,      kGroupRows,          tile_packed_bytes<N>,          TileState<N>::bytes,
      tile_pack_keys<N>, tile_pack_values<N>, tile_attention_block<Tiles, N>};
}

}  // namespace diffuse::cpu::DIFFUSE_CPU_ISA
