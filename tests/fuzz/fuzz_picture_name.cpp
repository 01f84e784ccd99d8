// Names of files from hostile prompts and names of a list. Eight bytes: two indices, two seeds, all
// of 16 bits; then pattern, name, prompt, other name, other prompt, apart by the byte 0x1E.
#include <algorithm>

#include "core/pipeline/picture_name.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace diffuse;
using namespace diffuse::fuzz;

namespace {

bool is_allowed(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-';
}

std::string lower(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return text;
}

void check_name(std::string_view name) {
  must(!name.empty() && name.size() <= 255, "a name has a size that file systems take");
  must(std::all_of(name.begin(), name.end(), is_allowed), "a name is plain");
  must(name.front() != '.' && name.front() != '-', "a name is neither hidden nor a flag");
  must(name.ends_with(".png"), "a name has its ending");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 8) return 0;
  const auto number = [&](std::size_t at) { return data[at] * 256 + data[at + 1]; };
  const auto parts = parts_of({reinterpret_cast<const char*>(data) + 8, size - 8}, '\x1E', 5);
  const std::string_view pattern = parts[0];
  if (!name_pattern_problem(pattern).empty()) return 0;
  RenderJob one;
  one.index = number(0);
  one.seed = static_cast<std::uint64_t>(number(2));
  one.name = parts[1];
  one.prompt = parts[2];
  RenderJob other;
  other.index = number(4);
  other.seed = static_cast<std::uint64_t>(number(6));
  other.name = parts[3];
  other.prompt = parts[4];
  const std::string name = picture_file_name(one, pattern, 0, ".png");
  const std::string other_name = picture_file_name(other, pattern, 0, ".png");
  check_name(name);
  check_name(other_name);
  // Also where capitals do not count.
  must(one.index == other.index || lower(name) != lower(other_name),
       "no two pictures share a name");
  const std::string sharded = picture_file_name(one, pattern, 1000, ".png");
  const std::size_t slash = sharded.find('/');
  must(slash != std::string::npos && sharded.substr(slash + 1) == name, "a shard keeps the name");
  must(sharded.find_first_not_of("0123456789") == slash, "a shard's folder is a number");
  return 0;
}
