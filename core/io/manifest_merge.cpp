#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <vector>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/io/atomic_file.hpp"
#include "core/io/fault_point.hpp"
#include "core/io/manifest.hpp"

namespace diffuse {
namespace {

constexpr std::size_t kWindow = std::size_t{1} << 18;
constexpr std::size_t kOutput = std::size_t{1} << 20;

[[noreturn]] void fail(const std::filesystem::path& path, const std::string& what) {
  throw Error(ExitCode::storage, "'" + printable(path.string()) + "' " + what +
                                     "; repair the storage, the same command continues");
}

/// Where a line lies. Sources are numbered from the oldest, so that the last of an index is newest.
struct Location {
  std::int64_t index = 0;
  std::uint64_t offset = 0;
  std::uint32_t length = 0;
  std::uint32_t source = 0;

  bool operator<(const Location& other) const {
    if (index != other.index) return index < other.index;
    return source != other.source ? source < other.source : offset < other.offset;
  }
};

/// Lines of one source, which are asked for mostly in the order of the file. The file is open only
/// while it is read: there may be more ranks than one process may have descriptors.
class LineSource {
 public:
  explicit LineSource(std::filesystem::path path) : path_(std::move(path)) {}

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

  std::string_view line(const Location& at) {
    const bool inside = at.offset >= start_ && at.offset + at.length <= start_ + window_.size();
    if (!inside) load(at.offset, std::max<std::size_t>(kWindow, at.length));
    if (at.offset + at.length > start_ + window_.size()) fail(path_, "changed while it was read");
    return std::string_view(window_).substr(static_cast<std::size_t>(at.offset - start_),
                                            at.length);
  }

 private:
  void load(std::uint64_t offset, std::size_t size) {
    const int descriptor = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) fail(path_, std::string("cannot be read: ") + std::strerror(errno));
    window_.resize(size);
    std::size_t have = 0;
    int error = 0;
    while (have < size) {
      const ssize_t got = ::pread(descriptor, window_.data() + have, size - have,
                                  static_cast<off_t>(offset + have));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) error = errno;
      if (got <= 0) break;
      have += static_cast<std::size_t>(got);
    }
    ::close(descriptor);
    if (error != 0) fail(path_, std::string("cannot be read: ") + std::strerror(error));
    window_.resize(have);
    start_ = offset;
  }

  std::filesystem::path path_;
  std::string window_;
  std::uint64_t start_ = 0;
};

std::vector<std::filesystem::path> shards_of(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> shards;
  std::error_code error;
  std::filesystem::directory_iterator at(folder, error);
  const std::filesystem::directory_iterator end;
  while (!error && at != end) {
    std::error_code ignored;
    if (at->path().extension() == ".jsonl" && at->is_regular_file(ignored)) {
      shards.push_back(at->path());
    }
    at.increment(error);
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    fail(folder, "cannot be listed: " + error.message());
  }
  std::sort(shards.begin(), shards.end());
  return shards;
}

/// The newest line of each index, in order.
std::vector<Location> newest_lines(const std::vector<LineSource>& sources, MergeReport& report) {
  std::vector<Location> lines;
  for (std::size_t source = 0; source < sources.size(); ++source) {
    ManifestReader reader(sources[source].path());
    while (const auto line = reader.next()) {
      lines.push_back({line->index, line->offset, static_cast<std::uint32_t>(line->text.size()),
                       static_cast<std::uint32_t>(source)});
    }
    report.damaged += reader.damaged();
    report.torn += reader.torn() ? 1 : 0;
  }
  if (!std::is_sorted(lines.begin(), lines.end())) std::sort(lines.begin(), lines.end());
  std::size_t kept = 0;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const bool newest = i + 1 == lines.size() || lines[i + 1].index != lines[i].index;
    if (newest) lines[kept++] = lines[i];
  }
  lines.resize(kept);
  return lines;
}

void write_lines(const std::vector<Location>& lines, std::vector<LineSource>& sources,
                 const std::filesystem::path& path) {
  AtomicFile file(path);
  std::string out;
  for (const Location& at : lines) {
    out.append(sources[at.source].line(at)).push_back('\n');
    if (out.size() < kOutput) continue;
    file.write(out);
    out.clear();
  }
  file.write(out);
  file.finish();
  fault_point("before-merge");
  file.commit();
}

}  // namespace

MergeReport merge_manifest(const std::filesystem::path& output_folder) {
  const std::filesystem::path shard_folder = output_folder / kShardFolderName;
  const std::vector<std::filesystem::path> shards = shards_of(shard_folder);
  MergeReport report;
  report.shards = static_cast<std::int64_t>(shards.size());
  if (!shards.empty()) {
    std::vector<LineSource> sources;
    sources.emplace_back(output_folder / kManifestName);
    for (const std::filesystem::path& shard : shards) sources.emplace_back(shard);
    const std::vector<Location> lines = newest_lines(sources, report);
    report.records = static_cast<std::int64_t>(lines.size());
    write_lines(lines, sources, output_folder / kManifestName);
    fault_point("after-merge");
  }
  // What stays behind is merged once more, to the same end.
  for (const std::filesystem::path& shard : shards) ::unlink(shard.c_str());
  ::rmdir(shard_folder.c_str());
  return report;
}

}  // namespace diffuse
