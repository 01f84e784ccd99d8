#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "core/models/clip_text/clip_text_model.hpp"
#include "core/pipeline/phases.hpp"
#include "core/tensor/program.hpp"
#include "core/text/clip_tokenizer.hpp"
#include "core/text/prompt_weights.hpp"

namespace diffuse {

/// Encode: texts to conditionings. Each text is encoded once while it is remembered; the empty
/// negative prompt of a whole run is therefore encoded once.
class TextPhase {
 public:
  TextPhase(Ops& ops, Arena& arena, const ClipTextModel& model, const ClipTokenizer& tokenizer);

  struct Request {
    std::string text;
    int clip_skip = 0;       ///< last layers left out
    bool weighting = false;  ///< brackets are weights, and long texts take several chunks
  };
  /// One conditioning per request. A text depends on no other: any grouping gives the same bytes.
  std::vector<std::shared_ptr<const Conditioning>> encode(std::span<const Request> requests);

  /// Makes the two halves of a picture equally long, by chunks of the empty text after the shorter
  /// one: they go through the denoiser together. Each half was encoded with its own clip_skip.
  void match_lengths(std::shared_ptr<const Conditioning>& negative, int negative_clip_skip,
                     std::shared_ptr<const Conditioning>& positive, int positive_clip_skip);

  /// The program for `entries` chunks of texts, for its costs; recorded on first use.
  Program& program(std::int64_t entries, int clip_skip);

 private:
  struct Recording {
    Tensor ids, out;
    Program program;
  };
  Recording& recording(std::int64_t entries, int clip_skip);
  std::vector<TokenChunk> chunks_of(const std::string& text, bool weighting) const;
  std::vector<std::vector<float>> encode_chunks(std::span<const TokenChunk> chunks, int clip_skip);
  void encode_fresh(int clip_skip, std::span<const std::pair<std::string, bool>> texts);
  std::shared_ptr<const Conditioning> lengthened(const Conditioning& shorter, std::int64_t tokens,
                                                 int clip_skip);

  Ops& ops_;
  Arena& arena_;
  const ClipTextModel& model_;
  const ClipTokenizer& tokenizer_;
  std::map<std::pair<std::int64_t, int>, Recording> recordings_;
  std::map<std::tuple<std::string, int, bool>, std::shared_ptr<const Conditioning>> known_;
};

}  // namespace diffuse
