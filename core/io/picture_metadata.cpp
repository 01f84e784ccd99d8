#include "core/io/picture_metadata.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/base/error.hpp"
#include "core/base/hashing.hpp"

namespace diffuse {
namespace {

using nlohmann::json;

constexpr int kFormat = 1;
constexpr int kMaxDepth = 8;
constexpr const char* kWebuiWeighting = "webui";
constexpr std::size_t kMaxChunkBytes = std::size_t{4} << 20;

/// The shortest text that reads back as the same number: 7, 7.5, 0.1; the same in every locale.
std::string short_number(double value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  return {text, end};
}

std::string quoted(const std::string& value) {
  if (value.find_first_of(",:\n") == std::string::npos) return value;
  return json(value).dump();
}

json to_json(const PictureJob& job) {
  json object{{"clip_skip", job.clip_skip},
              {"device_type", job.device_type},
              {"dtype", job.dtype},
              {"eta", job.eta},
              {"guidance_rescale", job.guidance_rescale},
              {"guidance_scale", job.guidance_scale},
              {"height", job.height},
              {"instruction_set", job.instruction_set},
              {"model_fingerprint", job.model_fingerprint},
              {"negative_prompt", job.negative_prompt},
              {"noise_grid", job.noise_grid ? json(*job.noise_grid) : json()},
              {"noise_source", job.noise_source},
              {"num_inference_steps", job.num_inference_steps},
              {"prompt", job.prompt},
              {"scheduler", job.scheduler},
              {"seed", job.seed},
              {"width", job.width}};
  // Said only where it holds, so that pictures without it are those of earlier versions.
  if (job.prompt_weighting) object["prompt_weighting"] = kWebuiWeighting;
  return object;
}

std::string dump(const json& value) {
  try {
    return value.dump();
  } catch (const json::exception&) {
    throw Error(ExitCode::bug, "a text of a picture's job is not UTF-8, so it cannot be recorded");
  }
}

/// Reads fields of an object and remembers whether each was there and fit.
class Fields {
 public:
  explicit Fields(const json& object) : object_(object) {}

  void text(const char* key, std::string& to) {
    if (const json* value = find(key); value != nullptr && value->is_string()) {
      to = value->get<std::string>();
    } else {
      good_ = false;
    }
  }
  void number(const char* key, double& to) {
    if (const json* value = find(key); value != nullptr && value->is_number()) {
      to = value->get<double>();
    } else {
      good_ = false;
    }
  }
  void integer(const char* key, int& to) {
    const json* value = find(key);
    if (value == nullptr || !value->is_number_integer()) {
      good_ = false;
      return;
    }
    const auto wide = value->get<std::int64_t>();
    good_ = good_ && wide >= -1 && wide <= std::numeric_limits<int>::max();
    to = good_ ? static_cast<int>(wide) : 0;
  }
  void natural(const char* key, std::uint64_t& to) {
    if (const json* value = find(key); value != nullptr && value->is_number_unsigned()) {
      to = value->get<std::uint64_t>();
    } else {
      good_ = false;
    }
  }
  void optional_natural(const char* key, std::optional<std::uint64_t>& to) {
    if (const json* value = find(key); value != nullptr && value->is_null()) {
      to.reset();
    } else {
      natural(key, to.emplace());
    }
  }
  [[nodiscard]] bool good() const { return good_; }

 private:
  const json* find(const char* key) const {
    const auto at = object_.find(key);
    return at == object_.end() ? nullptr : &*at;
  }

  const json& object_;
  bool good_ = true;
};

std::optional<PictureJob> job_from(const json& object) {
  if (!object.is_object()) return std::nullopt;
  PictureJob job;
  Fields fields(object);
  fields.integer("clip_skip", job.clip_skip);
  fields.text("device_type", job.device_type);
  fields.text("dtype", job.dtype);
  fields.number("eta", job.eta);
  fields.number("guidance_rescale", job.guidance_rescale);
  fields.number("guidance_scale", job.guidance_scale);
  fields.integer("height", job.height);
  fields.text("instruction_set", job.instruction_set);
  fields.text("model_fingerprint", job.model_fingerprint);
  fields.text("negative_prompt", job.negative_prompt);
  fields.optional_natural("noise_grid", job.noise_grid);
  fields.text("noise_source", job.noise_source);
  fields.integer("num_inference_steps", job.num_inference_steps);
  fields.text("prompt", job.prompt);
  fields.text("scheduler", job.scheduler);
  fields.natural("seed", job.seed);
  fields.integer("width", job.width);
  if (!fields.good()) return std::nullopt;
  if (const auto weighting = object.find("prompt_weighting"); weighting != object.end()) {
    if (*weighting != kWebuiWeighting) return std::nullopt;
    job.prompt_weighting = true;
  }
  return job;
}

}  // namespace

std::string parameters_text(const PictureJob& job, const PictureLabels& labels) {
  std::string text = job.prompt;
  if (!job.negative_prompt.empty()) text += "\nNegative prompt: " + job.negative_prompt;
  std::string line;
  const auto add = [&line](const char* key, const std::string& value) {
    line += (line.empty() ? "" : ", ") + std::string(key) + ": " + quoted(value);
  };
  add("Steps", std::to_string(job.num_inference_steps));
  add("Sampler", labels.sampler);
  add("Schedule type", labels.schedule_type);
  add("CFG scale", short_number(job.guidance_scale));
  add("Seed", std::to_string(job.seed));
  add("Size", std::to_string(job.width) + "x" + std::to_string(job.height));
  if (job.clip_skip > 0) add("Clip skip", std::to_string(job.clip_skip + 1));
  if (job.noise_source == "cpu") {
    add("RNG", "CPU");
  } else if (!job.noise_grid) {
    add("RNG", "NV");
  }
  if (job.eta != 0) add("Eta DDIM", short_number(job.eta));
  if (job.guidance_rescale != 0) add("Guidance rescale", short_number(job.guidance_rescale));
  add("Version", "diffuse-batch " + labels.program_version);
  text += "\n" + line;
  std::replace(text.begin(), text.end(), '\0', ' ');
  return text;
}

std::string job_json(const PictureJob& job) { return dump(to_json(job)); }

std::string job_hash(const PictureJob& job) { return sha256_hex(job_json(job)); }

std::string job_chunk_text(const PictureJob& job, std::string_view program_version) {
  return dump({{"format", kFormat},
               {"job", to_json(job)},
               {"job_hash", job_hash(job)},
               {"version", program_version}});
}

std::vector<PngText> picture_texts(const PictureJob& job, const PictureLabels& labels) {
  return {{std::string(kParametersKey), parameters_text(job, labels)},
          {std::string(kJobKey), job_chunk_text(job, labels.program_version)}};
}

std::optional<RecordedJob> parse_job_chunk(std::string_view text) {
  if (text.size() > kMaxChunkBytes) return std::nullopt;
  bool too_deep = false;
  const auto watch = [&too_deep](int depth, json::parse_event_t, const json&) {
    too_deep = too_deep || depth > kMaxDepth;
    return !too_deep;
  };
  const json chunk = json::parse(text, watch, false);
  if (too_deep || !chunk.is_object()) return std::nullopt;
  int format = 0;
  RecordedJob recorded;
  Fields fields(chunk);
  fields.integer("format", format);
  fields.text("job_hash", recorded.hash);
  fields.text("version", recorded.program_version);
  const auto job = chunk.find("job");
  if (!fields.good() || format != kFormat || job == chunk.end()) return std::nullopt;
  const std::optional<PictureJob> parsed = job_from(*job);
  if (!parsed || job_hash(*parsed) != recorded.hash) return std::nullopt;
  recorded.job = *parsed;
  return recorded;
}

std::optional<RecordedJob> recorded_job(const std::vector<PngText>& texts) {
  for (const PngText& text : texts) {
    if (text.key == kJobKey) return parse_job_chunk(text.text);
  }
  return std::nullopt;
}

}  // namespace diffuse
