// Reading and merging files of a manifest: the merged one and two shards, apart by the byte 0x1E;
// lines as in fuzz_manifest.
#include <algorithm>
#include <array>

#include "core/io/manifest.hpp"
#include "tests/fuzz/fuzz.hpp"
#include "tests/fuzz/manifest_lines.hpp"

using namespace diffuse;
using namespace diffuse::fuzz;

namespace {

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
  check_merge({reinterpret_cast<const char*>(data), size});
  return 0;
}
