// diffuse-tokenize [--no-truncate] TOKENIZER_DIR < lines > ids
// One line of token ids for each line of text: start and end included, not padded.
#include <cstdint>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include "core/base/error.hpp"
#include "core/text/clip_tokenizer.hpp"

namespace {

std::vector<std::int32_t> ids_of(const diffuse::ClipTokenizer& tokenizer, const std::string& line,
                                 bool truncate) {
  if (truncate) {
    diffuse::Tokens tokens = tokenizer.encode(line);
    tokens.ids.resize(static_cast<std::size_t>(tokens.used));
    return tokens.ids;
  }
  std::vector<std::int32_t> ids = tokenizer.tokenize(line);
  ids.insert(ids.begin(), tokenizer.bos_token_id());
  ids.push_back(tokenizer.eos_token_id());
  return ids;
}

}  // namespace

int main(int argc, char** argv) {
  const bool truncate = argc < 2 || std::string(argv[1]) != "--no-truncate";
  if (argc != (truncate ? 2 : 3)) {
    std::cerr << "usage: diffuse-tokenize [--no-truncate] TOKENIZER_DIR < lines > ids\n";
    return static_cast<int>(diffuse::ExitCode::usage);
  }
  try {
    std::ios::sync_with_stdio(false);
    const auto tokenizer = diffuse::ClipTokenizer::load(argv[argc - 1]);
    for (std::string line; std::getline(std::cin, line);) {
      const char* separator = "";
      for (const std::int32_t id : ids_of(tokenizer, line, truncate)) {
        std::cout << separator << id;
        separator = " ";
      }
      std::cout << '\n';
    }
  } catch (const diffuse::Error& error) {
    std::cerr << error.what() << '\n';
    return static_cast<int>(error.code());
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return static_cast<int>(diffuse::ExitCode::bug);
  }
  return 0;
}
