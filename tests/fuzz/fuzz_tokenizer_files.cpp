// Reading a tokenizer folder: six files apart by the byte 0x1E, an empty one is missing.
#include "core/text/clip_tokenizer.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace diffuse;
using namespace diffuse::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Folder folder;
  static const std::vector<std::string> kNames = {
      "tokenizer.json",          "vocab.json",       "merges.txt", "tokenizer_config.json",
      "special_tokens_map.json", "added_tokens.json"};
  const auto parts = parts_of({reinterpret_cast<const char*>(data), size}, '\x1E', kNames.size());
  for (std::size_t i = 0; i < kNames.size(); ++i) folder.set(kNames[i], parts[i]);
  refusal([] {
    const ClipTokenizer clip = ClipTokenizer::load(folder.path());
    for (const char* prompt : {"", "a cat's hat", "<|startoftext|> x <|endoftext|>", "\xC3\x89"}) {
      for (const std::int32_t id : clip.encode(prompt).ids) {
        must(id >= 0 && id < clip.vocab_size(), "ids have embeddings");
      }
    }
  });
  return 0;
}
