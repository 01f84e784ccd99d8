// Tokens of a hostile prompt, with the small tokenizers of the tests. The first byte chooses one.
#include <algorithm>
#include <array>

#include "core/text/clip_tokenizer.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace diffuse;
using namespace diffuse::fuzz;

namespace {

const ClipTokenizer& tokenizer(std::size_t number) {
  const std::string data = DIFFUSE_TEST_DATA;
  static const std::array tokenizers = {
      ClipTokenizer::load(data + "/models/tiny_sd1/tokenizer"),
      ClipTokenizer::load(data + "/models/tiny_sd2/tokenizer"),
      ClipTokenizer::load(data + "/tokenizer/saved/decoder_added"),
      ClipTokenizer::load(data + "/tokenizer/saved/sparse")};
  return tokenizers[number % tokenizers.size()];
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const ClipTokenizer& clip = tokenizer(data[0]);
  const std::string_view prompt(reinterpret_cast<const char*>(data) + 1, size - 1);
  const Tokens tokens = clip.encode(prompt);
  const std::vector<std::int32_t> all = clip.tokenize(prompt);

  const auto length = static_cast<std::size_t>(clip.model_max_length());
  const auto used = static_cast<std::size_t>(tokens.used);
  must(tokens.ids.size() == length && used >= 2 && used <= length, "there is room for all ids");
  const auto in_vocabulary = [&](std::int32_t id) { return id >= 0 && id < clip.vocab_size(); };
  must(std::all_of(tokens.ids.begin(), tokens.ids.end(), in_vocabulary), "ids have embeddings");
  must(std::all_of(all.begin(), all.end(), in_vocabulary), "all ids have embeddings");
  must(tokens.ids[0] == clip.bos_token_id() && tokens.ids[used - 1] == clip.eos_token_id(),
       "start and end are there");
  must(std::all_of(tokens.ids.begin() + tokens.used, tokens.ids.end(),
                   [&](std::int32_t id) { return id == clip.pad_token_id(); }),
       "the rest is padding");
  must(used - 2 == std::min(all.size(), length - 2), "no token is lost before the cut");
  must(std::equal(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(used - 2),
                  tokens.ids.begin() + 1),
       "tokens stand in order");
  must(tokens.truncated == (all.size() > length - 2), "a cut is told");
  must(is_utf8(clip.decode(all)), "tokens have a text");
  return 0;
}
