#include "core/io/manifest_record.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <concepts>
#include <cstdio>
#include <limits>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <type_traits>

#include "core/base/error.hpp"

namespace diffuse {
namespace {

using nlohmann::json;

constexpr int kMaxDepth = 64;
constexpr std::string_view kStart = R"({"index":)";
constexpr std::string_view kSumKey = R"(,"crc32":")";
constexpr std::size_t kSumDigits = 8;
constexpr std::size_t kTail = kSumKey.size() + kSumDigits + 2;  // and "}

std::string sum_digits(std::string_view bytes) {
  const uLong sum =
      crc32(0, reinterpret_cast<const Bytef*>(bytes.data()), static_cast<uInt>(bytes.size()));
  std::array<char, kSumDigits + 1> text{};
  std::snprintf(text.data(), text.size(), "%08lx", sum);
  return text.data();
}

/// Builds an object without a tree of values: a million records are written in a run.
class LineWriter {
 public:
  explicit LineWriter(std::string& out) : out_(out) { out_ += '{'; }

  template <std::integral T>
  void number(const char* key, T value) {
    start(key);
    std::array<char, 24> text{};
    out_.append(text.data(), std::to_chars(text.data(), text.data() + text.size(), value).ptr);
  }
  void real(const char* key, double value) {
    start(key);
    out_ += json(value).dump();
  }
  void text(const char* key, std::string_view value) {
    start(key);
    const bool plain = std::all_of(value.begin(), value.end(), [](char c) {
      return c >= ' ' && c < '\x7f' && c != '"' && c != '\\';
    });
    if (plain) {
      out_.append("\"").append(value).append("\"");
    } else {
      out_ += json(value).dump(-1, ' ', false, json::error_handler_t::replace);
    }
  }
  /// A text, or null where there is none.
  void optional_text(const char* key, std::string_view value) {
    if (value.empty()) {
      raw(key, "null");
    } else {
      text(key, value);
    }
  }
  void raw(const char* key, std::string_view value) {
    start(key);
    out_ += value;
  }

 private:
  void start(const char* key) {
    if (out_.back() != '{') out_ += ',';
    out_.append("\"").append(key).append("\":");
  }

  std::string& out_;
};

std::string settings_text(const PictureJob& job) {
  std::string out;
  LineWriter line(out);
  line.text("negative_prompt", job.negative_prompt);
  line.number("width", job.width);
  line.number("height", job.height);
  line.number("num_inference_steps", job.num_inference_steps);
  line.real("guidance_scale", job.guidance_scale);
  line.real("guidance_rescale", job.guidance_rescale);
  line.real("eta", job.eta);
  line.number("clip_skip", job.clip_skip);
  line.text("scheduler", job.scheduler);
  if (job.prompt_weighting) line.raw("prompt_weighting", "true");
  line.text("noise_source", job.noise_source);
  line.raw("noise_grid", job.noise_grid ? std::to_string(*job.noise_grid) : "null");
  line.text("dtype", job.dtype);
  line.text("device_type", job.device_type);
  line.text("instruction_set", job.instruction_set);
  line.text("model_fingerprint", job.model_fingerprint);
  return out + "}";
}

// json's own conversions wrap and truncate.
template <std::integral T>
T integer(const json& value) {
  const auto max = static_cast<std::uint64_t>(std::numeric_limits<T>::max());
  if (value.is_number_unsigned() && value.get<std::uint64_t>() <= max) return value.get<T>();
  if (std::is_signed_v<T> && value.is_number_integer() && !value.is_number_unsigned()) {
    const auto wide = value.get<std::int64_t>();
    if (wide >= static_cast<std::int64_t>(std::numeric_limits<T>::min())) {
      return static_cast<T>(wide);
    }
  }
  throw std::out_of_range("no number, or out of range");
}

/// The text as JSON; discarded if it is none or nests too deep.
json parse_bounded(std::string_view text) {
  bool too_deep = false;
  const auto watch = [&too_deep](int depth, json::parse_event_t, const json&) {
    too_deep = too_deep || depth > kMaxDepth;
    return !too_deep;
  };
  json value = json::parse(text, watch, false);
  if (too_deep) value = json(json::value_t::discarded);
  return value;
}

PictureJob job_from(const json& object) {
  const json& settings = object.at("settings");
  PictureJob job;
  job.prompt = object.at("prompt").get<std::string>();
  job.seed = integer<std::uint64_t>(object.at("seed"));
  job.negative_prompt = settings.at("negative_prompt").get<std::string>();
  job.width = integer<int>(settings.at("width"));
  job.height = integer<int>(settings.at("height"));
  job.num_inference_steps = integer<int>(settings.at("num_inference_steps"));
  job.guidance_scale = settings.at("guidance_scale").get<double>();
  job.guidance_rescale = settings.at("guidance_rescale").get<double>();
  job.eta = settings.at("eta").get<double>();
  job.clip_skip = integer<int>(settings.at("clip_skip"));
  job.scheduler = settings.at("scheduler").get<std::string>();
  job.prompt_weighting = settings.value("prompt_weighting", false);
  job.noise_source = settings.at("noise_source").get<std::string>();
  if (const json& grid = settings.at("noise_grid"); !grid.is_null()) {
    job.noise_grid = integer<std::uint64_t>(grid);
  }
  job.dtype = settings.at("dtype").get<std::string>();
  job.device_type = settings.at("device_type").get<std::string>();
  job.instruction_set = settings.at("instruction_set").get<std::string>();
  job.model_fingerprint = settings.at("model_fingerprint").get<std::string>();
  return job;
}

std::string text_or_none(const json& value) {
  return value.is_null() ? std::string() : value.get<std::string>();
}

ManifestRecord record_from(const json& object) {
  ManifestRecord record;
  record.index = integer<std::int64_t>(object.at("index"));
  record.line = integer<std::int64_t>(object.at("line"));
  record.name = text_or_none(object.at("name"));
  record.path = text_or_none(object.at("path"));
  record.job = job_from(object);
  record.job_hash = object.at("job_hash").get<std::string>();
  const auto status = object.at("status").get<std::string>();
  if (status != "ok" && status != "failed") throw std::out_of_range("unknown status");
  record.status = status == "ok" ? RecordStatus::ok : RecordStatus::failed;
  record.error = text_or_none(object.at("error"));
  record.sha256 = text_or_none(object.at("sha256"));
  record.bytes = integer<std::uint64_t>(object.at("bytes"));
  record.modified = integer<std::int64_t>(object.at("modified"));
  record.milliseconds = integer<std::int64_t>(object.at("milliseconds"));
  record.rank = integer<int>(object.at("rank"));
  record.host = object.at("host").get<std::string>();
  if (const auto at = object.find("metadata"); at != object.end()) record.metadata = at->dump();
  if (const auto at = object.find("note"); at != object.end()) record.note = at->get<std::string>();
  return record;
}

ManifestHead head_of(const ManifestRecord& record) {
  return {record.index, record.line,   record.status, record.job_hash,
          record.path,  record.sha256, record.bytes,  record.modified};
}

}  // namespace

std::string manifest_line(const ManifestRecord& record) {
  std::string out;
  out.reserve(1024);
  LineWriter line(out);
  // The head: parse_manifest_head() counts on this order.
  line.number("index", record.index);
  line.number("line", record.line);
  line.text("status", record.status == RecordStatus::ok ? "ok" : "failed");
  line.text("job_hash", record.job_hash);
  line.optional_text("path", record.path);
  line.optional_text("sha256", record.sha256);
  line.number("bytes", record.bytes);
  line.number("modified", record.modified);
  // The rest.
  line.optional_text("name", record.name);
  line.text("prompt", record.job.prompt);
  line.raw("settings", settings_text(record.job));
  line.number("seed", record.job.seed);
  line.optional_text("error", record.error);
  line.number("milliseconds", record.milliseconds);
  line.number("rank", record.rank);
  line.text("host", record.host);
  if (!record.metadata.empty()) {
    const json metadata = parse_bounded(record.metadata);
    if (metadata.is_discarded()) {
      throw Error(ExitCode::bug, "the metadata of a job is no JSON, so it cannot be recorded");
    }
    line.raw("metadata", metadata.dump());
  }
  if (!record.note.empty()) line.text("note", record.note);
  const std::string sum = sum_digits(out);
  out.append(kSumKey).append(sum).append("\"}");
  if (out.size() > kMaxRecordBytes) {
    throw Error(ExitCode::bug, "the record of a job has " + std::to_string(out.size()) +
                                   " bytes, more than a manifest line may have");
  }
  return out;
}

std::optional<std::int64_t> manifest_line_index(std::string_view line) {
  if (line.size() < kStart.size() + kTail || line.size() > kMaxRecordBytes) return std::nullopt;
  const std::string_view body = line.substr(0, line.size() - kTail);
  const std::string_view tail = line.substr(body.size());
  if (!line.starts_with(kStart) || !tail.starts_with(kSumKey) || !tail.ends_with("\"}") ||
      tail.substr(kSumKey.size(), kSumDigits) != sum_digits(body)) {
    return std::nullopt;
  }
  std::int64_t index = 0;
  const char* end = body.data() + body.size();
  const auto [at, error] = std::from_chars(body.data() + kStart.size(), end, index);
  if (error != std::errc() || at == end || *at != ',' || index < 0) return std::nullopt;
  return index;
}

std::optional<ManifestRecord> parse_manifest_line(std::string_view line) {
  if (!manifest_line_index(line)) return std::nullopt;
  const json object = parse_bounded(line);
  if (!object.is_object()) return std::nullopt;
  try {
    ManifestRecord record = record_from(object);
    // JSON takes the last of a key given twice, the head the first.
    if (parse_manifest_head(line) != head_of(record)) return std::nullopt;
    return record;
  } catch (const json::exception&) {
    return std::nullopt;
  } catch (const std::out_of_range&) {
    return std::nullopt;
  }
}

}  // namespace diffuse
