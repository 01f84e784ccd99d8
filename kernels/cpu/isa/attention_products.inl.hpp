#pragma once

// The products of attention: query rows with a tile of keys, weights with its values. Included once
// per instruction set.

namespace diffuse::cpu::DIFFUSE_CPU_ISA {

/// Scores of R query rows against `kVecs` vectors of keys of a tile, from vector `kFirst` on.
template <class P, int R, int kFirst, int kVecs, int kAll>
void score_block(const typename P::Element* q, std::int64_t depth, const typename P::Element* keys,
                 Vec (&score)[R][kAll]) {
  Vec sum[R][kVecs];
  DIFFUSE_UNROLL
  for (int r = 0; r < R; ++r) {
    DIFFUSE_UNROLL
    for (int j = 0; j < kVecs; ++j) sum[r][j] = zero();
  }
  keys += kFirst * kLanes * P::kStep;
  const auto step = [&](std::int64_t d) {
    const auto* row = keys + d * kKeyTile;
    typename P::Operand key[kVecs];
    DIFFUSE_UNROLL
    for (int j = 0; j < kVecs; ++j) key[j] = P::load_operand(row + j * kLanes * P::kStep);
    DIFFUSE_UNROLL
    for (int r = 0; r < R; ++r) {
      const typename P::Operand query = P::broadcast(q + r * depth + d);
      DIFFUSE_UNROLL
      for (int j = 0; j < kVecs; ++j) sum[r][j] = P::multiply_add(query, key[j], sum[r][j]);
    }
  };
  std::int64_t d = 0;
  for (constexpr std::int64_t kDepth = kStepsAtOnce * P::kStep; d + kDepth <= depth; d += kDepth) {
    static_assert(kStepsAtOnce == 4);  // written out: g++ would unroll the loop around them too
    step(d);
    step(d + P::kStep);
    step(d + 2 * P::kStep);
    step(d + 3 * P::kStep);
  }
  for (; d < depth; d += P::kStep) step(d);
  DIFFUSE_UNROLL
  for (int r = 0; r < R; ++r) {
    DIFFUSE_UNROLL
    for (int j = 0; j < kVecs; ++j) score[r][kFirst + j] = sum[r][j];
  }
}

/// Scores against the first kVecs vectors of keys of a tile, in blocks that fit the registers.
template <class P, int R, int kVecs>
void scores(const typename P::Element* q, std::int64_t depth, const typename P::Element* keys,
            Vec (&score)[R][kVecs]) {
  if constexpr (kVecs <= kKeyVecs) {
    score_block<P, R, 0, kVecs>(q, depth, keys, score);
  } else {
    score_block<P, R, 0, kKeyVecs>(q, depth, keys, score);
    score_block<P, R, kKeyVecs, kVecs - kKeyVecs>(q, depth, keys, score);
  }
}

/// o[r] += p[r] v over one tile of keys, for kVecs vectors of values and, if kTail, the one after
/// them that holds the tails of two steps: its even and odd lanes are sums of their own.
template <class P, int R, int kVecs, bool kTail>
void accumulate(const typename P::Element (*p)[kKeyTile], std::int64_t keys,
                const typename P::Element* values, std::int64_t at, const Layout<P>& layout,
                float* o) {
  const auto* tails = values + 2 * layout.full * P::kStep;
  values += at * P::kStep;
  o += at;
  constexpr int kSums = kVecs + (kTail ? 1 : 0);
  Vec sum[R][kSums];
  DIFFUSE_UNROLL
  for (int r = 0; r < R; ++r) {
    DIFFUSE_UNROLL
    for (int v = 0; v < kSums; ++v) sum[r][v] = load(o + r * layout.values + v * kLanes);
  }
  const std::int64_t a_pair = 2 * P::kStep * layout.a_key;
  for (std::int64_t key = 0; key < keys; key += 2 * P::kStep, values += a_pair, tails += a_pair) {
    DIFFUSE_UNROLL
    for (int turn = 0; turn < 2; ++turn) {
      const auto* row = values + turn * layout.full * P::kStep;
      typename P::Operand value[kVecs];
      DIFFUSE_UNROLL
      for (int v = 0; v < kVecs; ++v) value[v] = P::load_operand(row + v * kLanes * P::kStep);
      DIFFUSE_UNROLL
      for (int r = 0; r < R; ++r) {
        const typename P::Operand weight = P::broadcast(p[r] + key + turn * P::kStep);
        DIFFUSE_UNROLL
        for (int v = 0; v < kVecs; ++v) sum[r][v] = P::multiply_add(weight, value[v], sum[r][v]);
      }
    }
    if constexpr (kTail) {
      const typename P::Operand value = P::load_operand(tails);
      DIFFUSE_UNROLL
      for (int r = 0; r < R; ++r) {
        sum[r][kVecs] = P::multiply_add(P::broadcast_pair(p[r] + key), value, sum[r][kVecs]);
      }
    }
  }
  DIFFUSE_UNROLL
  for (int r = 0; r < R; ++r) {
    DIFFUSE_UNROLL
    for (int v = 0; v < kSums; ++v) store(o + r * layout.values + v * kLanes, sum[r][v]);
  }
}

/// All value vectors in register blocks of even size.
template <class P, int R>
void accumulate_all(const typename P::Element (*p)[kKeyTile], std::int64_t keys,
                    const typename P::Element* values, const Layout<P>& layout, float* o) {
  std::int64_t left = layout.full / kLanes;
  std::int64_t at = 0;
  if constexpr (P::kPairs) {
    if (layout.tail) {  // the last two vectors, or one of one, go with the tail
      const std::int64_t last = smaller(2, left);
      left -= last;
      if (last == 1) accumulate<P, R, 1, true>(p, keys, values, left * kLanes, layout, o);
      if (last == 2) accumulate<P, R, 2, true>(p, keys, values, left * kLanes, layout, o);
    }
  }
  std::int64_t blocks = (left + kValueVecs - 1) / kValueVecs;
  for (; left > 0; --blocks) {
    const std::int64_t vecs = (left + blocks - 1) / blocks;
    if (vecs == 1) accumulate<P, R, 1, false>(p, keys, values, at, layout, o);
    if (vecs == 2) accumulate<P, R, 2, false>(p, keys, values, at, layout, o);
    if constexpr (kValueVecs >= 4) {
      if (vecs == 3) accumulate<P, R, 3, false>(p, keys, values, at, layout, o);
      if (vecs == 4) accumulate<P, R, 4, false>(p, keys, values, at, layout, o);
    }
    at += vecs * kLanes;
    left -= vecs;
  }
}

}  // namespace diffuse::cpu::DIFFUSE_CPU_ISA
