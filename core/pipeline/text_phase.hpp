#pragma once

#include <map>
#include <span>
#include <utility>

#include "core/models/clip_text/clip_text_model.hpp"
#include "core/pipeline/phases.hpp"
#include "core/tensor/program.hpp"
#include "core/text/clip_tokenizer.hpp"

namespace diffuse {

/// Encode: texts to conditionings. Each text is encoded once while it is remembered; the empty
/// negative prompt of a whole run is therefore encoded once.
class TextPhase {
 public:
  TextPhase(Ops& ops, Arena& arena, const ClipTextModel& model, const ClipTokenizer& tokenizer);

  struct Request {
    std::string text;
    int clip_skip = 0;  ///< last layers left out
  };
  /// One conditioning per request. A text depends on no other: any grouping gives the same bytes.
  std::vector<std::shared_ptr<const Conditioning>> encode(std::span<const Request> requests);

  /// The program for `entries` texts, for its costs; recorded on first use.
  Program& program(std::int64_t entries, int clip_skip);

 private:
  struct Recording {
    Tensor ids, out;
    Program program;
  };
  Recording& recording(std::int64_t entries, int clip_skip);
  void encode_group(std::span<const std::string> texts, int clip_skip);

  Ops& ops_;
  Arena& arena_;
  const ClipTextModel& model_;
  const ClipTokenizer& tokenizer_;
  std::map<std::pair<std::int64_t, int>, Recording> recordings_;
  std::map<std::pair<std::string, int>, std::shared_ptr<const Conditioning>> known_;
};

}  // namespace diffuse
