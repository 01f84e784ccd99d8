#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/io/picture_metadata.hpp"

namespace diffuse {

/// How a job ended.
enum class RecordStatus : std::uint8_t { ok, failed };

/// What the manifest says of one job: the latest attempt at it.
struct ManifestRecord {
  std::int64_t index = 0;  ///< position among all pictures of the list
  std::int64_t line = 0;   ///< 1-based line of the list
  std::string name;        ///< the job's own name in the list; empty: it has none
  std::string path;        ///< of the file, inside the output folder; empty: no file was asked for
  PictureJob job;          ///< prompt, seed and settings
  std::string job_hash;    ///< job_hash(job)
  RecordStatus status = RecordStatus::ok;
  std::string error;          ///< one line; empty unless failed
  std::string sha256;         ///< of the file's bytes; empty if there is none
  std::uint64_t bytes = 0;    ///< size of the file
  std::int64_t modified = 0;  ///< its time of modification, nanoseconds since 1970
  std::int64_t milliseconds = 0;
  int rank = 0;
  std::string host;
  std::string metadata;  ///< a JSON value that the list carries through, as text; empty: none
  std::string note;  ///< empty, "adopted" (found without a record) or "rewritten" (by another tool)

  bool operator==(const ManifestRecord&) const = default;
};

/// Most bytes of one line of a manifest; a longer one is damaged.
inline constexpr std::size_t kMaxRecordBytes = std::size_t{4} << 20;

/// The record as one line of JSON, without the line end:
///   {"index":0,"line":1,...,"settings":{...},...,"crc32":"89abcdef"}
/// The check sum is that of the bytes before its own key (the CRC-32 of zlib and PNG), so that a
/// reader knows a damaged line without parsing it. Text that is no UTF-8 (a path, a host name) is
/// recorded with U+FFFD in place of what cannot be shown.
/// Throws Error(bug) if `metadata` is no JSON or the line would be longer than kMaxRecordBytes.
std::string manifest_line(const ManifestRecord& record);

/// The index of a line that is whole (its check sum holds), nothing for any other.
std::optional<std::int64_t> manifest_line_index(std::string_view line);

/// What of a record tells whether its job is done: the beginning of a line, which is read without a
/// tree of values, since a run that goes on reads all of them.
struct ManifestHead {
  std::int64_t index = 0;
  std::int64_t line = 0;
  RecordStatus status = RecordStatus::ok;
  std::string job_hash;
  std::string path;
  std::string sha256;
  std::uint64_t bytes = 0;
  std::int64_t modified = 0;

  bool operator==(const ManifestHead&) const = default;
};

/// The head of a line that is whole; nothing for any other, or one that is not of this version.
std::optional<ManifestHead> parse_manifest_head(std::string_view line);

/// The inverse of manifest_line(); nothing for a line that is damaged or not of this version.
std::optional<ManifestRecord> parse_manifest_line(std::string_view line);

}  // namespace diffuse
