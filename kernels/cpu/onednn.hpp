#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/tensor/op.hpp"
#include "kernels/cpu/convolution.hpp"
#include "kernels/cpu/isa.hpp"
#include "kernels/cpu/memory.hpp"
#include "kernels/cpu/weights.hpp"

namespace diffuse::cpu {

/// A convolution's weight in the layout that oneDNN chose. Where a picture size wants another one
/// and has no kernel for this, it is laid out anew on first use.
struct ConvolutionWeight final : PreparedWeight {
  struct Copy {
    int layout = 0;
    std::shared_ptr<void> data;
  };
  mutable std::vector<Copy> copies;  ///< at least one
  mutable bool guess_replaced = false;
};

/// Limits oneDNN to an instruction set where one is forced; the limit is the process's, and oneDNN
/// takes it once. Throws ConfigError if the process uses another one already.
void limit_onednn(Isa isa, bool forced);

/// All use of oneDNN: convolutions with few channels. Primitives are created once per shape and
/// kept. Each works on one tile of one picture in one thread; tiles are shared among threads here,
/// so that what a picture gets depends on no other picture and on no number of threads. One object
/// serves one thread.
class OneDnn {
 public:
  /// See limit_onednn. Throws ConfigError.
  OneDnn(Isa isa, bool forced);
  ~OneDnn();

  /// "onednn 2.6.3 avx512_core_bf16".
  [[nodiscard]] static std::string version();

  /// Lays values [O, C, kh, kw] out for `usual`, whose out_dtype is ignored.
  [[nodiscard]] std::shared_ptr<const ConvolutionWeight> prepare(const WeightInput& input,
                                                                 const Convolution& usual);

  /// y = x * W + bias for every picture of the batch, plus `residual` if the
  /// convolution accumulates; the residual may be y itself.
  void run(const Convolution& convolution, const ConvolutionWeight& weight, const void* x,
           const float* bias, const void* residual, void* y, Scratch& scratch);

  /// Name of oneDNN's implementation of every convolution run so far, with its shape: for tests.
  [[nodiscard]] std::vector<std::string> implementations() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace diffuse::cpu
