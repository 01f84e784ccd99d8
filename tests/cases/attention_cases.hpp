#pragma once

#include <cstdint>
#include <vector>

namespace diffuse::test {

struct AttentionCase {
  const char* what;
  std::int64_t batch, queries, keys;
  int heads;
  std::int64_t head_dim;
  bool causal = false;
  bool upcast = false;
  bool packed = false;  ///< q, k and v are columns of one tensor
  double spread = 1.0;  ///< of q: large makes the softmax sharp
  double scale = 0.0;   ///< 0: 1 / sqrt(head_dim)
};

inline const std::vector<AttentionCase>& attention_cases() {
  static const std::vector<AttentionCase> cases = {
      {"head_dim 40, self", 2, 131, 131, 8, 40},
      {"head_dim 40, 77 keys", 2, 70, 77, 8, 40},
      {"head_dim 80, 77 keys", 2, 33, 77, 4, 80},
      {"head_dim 160", 2, 50, 65, 3, 160},
      {"head_dim 64, 77 tokens, causal: CLIP", 2, 77, 77, 12, 64, true},
      {"causal, longer than a tile and a block", 2, 150, 150, 2, 40, true},
      {"causal, one token", 2, 1, 1, 2, 64, true},
      {"head_dim 512, one head: the VAE", 2, 67, 67, 1, 512},
      {"head_dim 1", 2, 37, 41, 3, 1},
      {"head_dim 3", 2, 5, 9, 2, 3},
      {"head_dim 17, 1 key", 2, 7, 1, 2, 17},
      {"head_dim 72: half a vector behind four", 2, 53, 131, 2, 72},
      {"head_dim 22: less than half a vector behind one", 2, 41, 70, 3, 22},
      {"exactly one tile", 2, 48, 64, 1, 32},
      {"one key more than a tile", 2, 49, 65, 1, 32},
      {"rows of q, k and v strided: a packed projection", 2, 45, 45, 3, 40, false, false, true},
      {"packed and causal", 2, 77, 77, 2, 16, true, false, true},
      {"products in f32 whatever the dtype", 2, 60, 77, 2, 64, false, true},
      {"sharp softmax: the running maximum moves", 2, 40, 300, 2, 24, false, false, false, 12.0},
      {"head_dim 40, many tiles, sharp", 2, 150, 300, 2, 40, false, false, false, 3.0},
      {"head_dim 64, tiles without a rest", 2, 128, 192, 2, 64},
      {"head_dim 80, packed, three blocks", 2, 261, 261, 2, 80, false, false, true},
      {"head_dim 160, packed", 2, 101, 101, 2, 160, false, false, true},
      {"head_dim 64, 1 key", 2, 9, 1, 2, 64},
      {"another scale", 2, 30, 50, 2, 32, false, false, false, 1.0, 0.05},
      {"many queries, few keys: all heads of a query together", 2, 230, 77, 3, 40},
  };
  return cases;
}

}  // namespace diffuse::test
