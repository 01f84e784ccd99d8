// Reading and merging manifests. A line that ends in a byte 0x1D instead of a check sum gets the
// right one, so that most lines are looked at. An input that begins with 'F' is a manifest and two
// shards, apart by the byte 0x1E, which are merged; any other is lines, which are read without
// files, as that is a hundred times faster.
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "core/io/manifest.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace diffuse;
using namespace diffuse::fuzz;

namespace {

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

/// What a line says survives writing it again.
void check_line(std::string_view line) {
  const auto index = manifest_line_index(line);
  const auto record = parse_manifest_line(line);
  must(index.has_value() || !record.has_value(), "a line that is not whole is not read");
  if (!record) return;
  must(record->index == *index && *index >= 0, "both readings give the same index");
  must(is_utf8(record->job.prompt) && is_utf8(record->path) && is_utf8(record->error),
       "texts are UTF-8");
  must(parse_manifest_line(manifest_line(*record)) == record, "a record survives");
}

/// Indexes of the whole lines of a file.
std::vector<std::int64_t> check_lines(const std::filesystem::path& path) {
  std::vector<std::int64_t> indexes;
  ManifestReader reader(path);
  while (const auto line = reader.next()) {
    must(line->index >= 0 && line->text.find('\n') == std::string_view::npos, "a line is a line");
    indexes.push_back(line->index);
    check_line(line->text);
  }
  must(!reader.next(), "the end is the end");
  return indexes;
}

void check_merge(std::string_view input) {
  static const Folder folder;
  const std::filesystem::path shards = folder.path() / kShardFolderName;
  std::filesystem::create_directory(shards);
  const auto parts = parts_of(input, '\x1E', 3);
  const std::array<std::string, 3> names = {kManifestName,
                                            std::string(kShardFolderName) + "/1.jsonl",
                                            std::string(kShardFolderName) + "/2.jsonl"};
  std::vector<std::int64_t> wanted;
  for (std::size_t i = 0; i < names.size(); ++i) {
    folder.set(names[i], with_sums(parts[i]));
    const auto indexes = check_lines(folder.path() / names[i]);
    wanted.insert(wanted.end(), indexes.begin(), indexes.end());
  }
  std::sort(wanted.begin(), wanted.end());
  wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());

  const bool has_shards = !parts[1].empty() || !parts[2].empty();
  const MergeReport report = merge_manifest(folder.path());
  must(!std::filesystem::exists(shards), "merged shards are gone");
  if (!has_shards) return;
  must(report.records == static_cast<std::int64_t>(wanted.size()), "every index has one record");
  must(check_lines(folder.path() / kManifestName) == wanted, "in order of the index");
  must(merge_manifest(folder.path()).shards == 0, "nothing is left to merge");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  if (input.starts_with('F')) {
    check_merge(input.substr(1));
    return 0;
  }
  const std::string lines = with_sums(input);
  for (std::size_t at = 0; at < lines.size();) {
    const std::size_t end = std::min(lines.find('\n', at), lines.size());
    check_line(std::string_view(lines).substr(at, end - at));
    at = end + 1;
  }
  return 0;
}
