#pragma once

#include <map>
#include <utility>

#include "core/models/autoencoder_kl/decoder.hpp"
#include "core/pipeline/phases.hpp"
#include "core/tensor/program.hpp"

namespace diffuse {

/// Decode: latents of one picture to 8-bit pixels, one picture at a time (at 512 x 512 the decoder
/// needs more memory than a denoising step).
class DecodePhase {
 public:
  DecodePhase(Ops& ops, Arena& arena, const AutoencoderKlDecoder& model);

  /// Gives the device the work of one picture; where it runs beside the caller, this does not wait
  /// for it. Pictures end in the order of the calls. Dropped if `observe` asked to stop.
  [[nodiscard]] PendingImage begin(const Latents& latents, const StepObserver& observe);

  /// Pictures begun from now on are made there, on the same device. The former backend must have
  /// nothing left to do.
  void move_to(Ops& ops, Arena& arena);

  /// The program for latents of this size, for its costs and memory.
  const Program& program(std::int64_t height, std::int64_t width);

 private:
  struct Recording {
    Tensor latents, pixels;
    Program program;
  };
  Recording& recording(std::int64_t height, std::int64_t width);

  Ops* ops_;
  Arena* arena_;
  const AutoencoderKlDecoder& model_;
  Tensor factors_, step_;
  std::map<std::pair<std::int64_t, std::int64_t>, Recording> recordings_;
};

}  // namespace diffuse
