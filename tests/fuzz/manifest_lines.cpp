#include "tests/fuzz/manifest_lines.hpp"

#include <zlib.h>

#include <array>
#include <cstdio>

#include "core/io/manifest_record.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace diffuse::fuzz {

std::string with_sums(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.ends_with('\x1D')) {
      line.remove_suffix(1);
      const auto sum =
          crc32(0, reinterpret_cast<const Bytef*>(line.data()), static_cast<uInt>(line.size()));
      std::array<char, 32> tail{};
      std::snprintf(tail.data(), tail.size(), ",\"crc32\":\"%08lx\"}", sum);
      out.append(line).append(tail.data());
    } else {
      out.append(line);
    }
    if (end != std::string_view::npos) out += '\n';
  }
  return out;
}

void check_line(std::string_view line) {
  const auto index = manifest_line_index(line);
  const auto record = parse_manifest_line(line);
  must(index.has_value() || !record.has_value(), "a line that is not whole is not read");
  const auto head = parse_manifest_head(line);
  must(index.has_value() || !head.has_value(), "nor is its head");
  if (!record) return;
  must(record->index == *index && *index >= 0, "both readings give the same index");
  must(is_utf8(record->job.prompt) && is_utf8(record->path) && is_utf8(record->error),
       "texts are UTF-8");
  if (head) {
    must(head->index == record->index && head->line == record->line &&
             head->status == record->status && head->job_hash == record->job_hash &&
             head->path == record->path && head->sha256 == record->sha256 &&
             head->bytes == record->bytes && head->modified == record->modified,
         "the head says what the record says");
  }
  const std::string written = manifest_line(*record);
  must(parse_manifest_line(written) == record, "a record survives");
  must(parse_manifest_head(written).has_value(), "what is written has a head");
}

}  // namespace diffuse::fuzz
