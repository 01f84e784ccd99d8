#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "core/io/manifest_record.hpp"

namespace diffuse {

/// The merged manifest of an output folder: one record an index, in order of the index.
inline constexpr const char* kManifestName = "manifest.jsonl";
/// The folder, inside the output folder, of the shards that are not merged yet.
inline constexpr const char* kShardFolderName = ".diffuse-batch.records";

/// The lines of a manifest or a shard, read in pieces, whatever the file holds. Lines that are not
/// whole are passed over and counted; the last line may lack its end, as a writer that died
/// leaves it.
class ManifestReader {
 public:
  /// Throws Error(storage) if the file is there and cannot be read; a missing one has no lines.
  explicit ManifestReader(const std::filesystem::path& path);
  ManifestReader(const ManifestReader&) = delete;
  ManifestReader& operator=(const ManifestReader&) = delete;
  ~ManifestReader();

  /// The next whole line, with its index and where it begins in the file; valid until the next
  /// call. Throws Error(storage).
  struct Line {
    std::int64_t index = 0;
    std::uint64_t offset = 0;
    std::string_view text;
  };
  std::optional<Line> next();

  [[nodiscard]] std::int64_t damaged() const { return damaged_; }  ///< lines passed over
  [[nodiscard]] bool torn() const { return torn_; }  ///< the last line had no end and was damaged

 private:
  bool fill();
  std::optional<std::string_view> raw_line();

  std::filesystem::path path_;
  int descriptor_ = -1;
  std::string buffer_;
  std::size_t at_ = 0;              // of the next line in buffer_
  std::uint64_t buffer_start_ = 0;  // of buffer_ in the file
  bool ended_ = false;
  bool too_long_ = false;  // the beginning of this line was dropped
  bool complete_ = true;   // the line given last had its end
  std::int64_t damaged_ = 0;
  bool torn_ = false;
};

/// The records that one process appends while a run goes on, in a file of its own inside
/// kShardFolderName, made with the first record. Each record is one write(2) to a descriptor opened
/// with O_APPEND, so that a process that dies leaves whole lines and at most one torn one, the
/// last.
class ManifestShard {
 public:
  ManifestShard(std::filesystem::path output_folder, int rank);
  ManifestShard(const ManifestShard&) = delete;
  ManifestShard& operator=(const ManifestShard&) = delete;
  ~ManifestShard();

  /// Throws Error(storage); what was written of the line is taken back then.
  void append(const ManifestRecord& record);
  /// Brings what was appended to storage (fdatasync). Throws Error(storage).
  void sync();

 private:
  void open();

  std::filesystem::path output_folder_;
  std::filesystem::path path_;
  int rank_ = 0;
  int descriptor_ = -1;
  bool unsynced_ = false;
};

/// What merge_manifest() met.
struct MergeReport {
  std::int64_t records = 0;  ///< in the merged manifest; 0 if there was nothing to merge
  std::int64_t shards = 0;
  std::int64_t damaged = 0;  ///< lines passed over, torn last ones not counted
  std::int64_t torn = 0;     ///< shards whose last line was torn
};

/// Merges the shards of earlier runs into the manifest of the output folder and removes them: one
/// record an index, the newest that is whole. Memory: 24 bytes a record. Only for the holder of the
/// folder's lock, while no rank writes. A merge that dies anywhere is done again by the next one.
/// Throws Error(storage).
MergeReport merge_manifest(const std::filesystem::path& output_folder);

}  // namespace diffuse
