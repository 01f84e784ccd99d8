#include "core/io/gallery.hpp"

#include <openssl/evp.h>

#include <array>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_map>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/io/atomic_file.hpp"
#include "core/io/gallery_page.hpp"
#include "core/io/manifest.hpp"

namespace diffuse {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::string_view kBegin =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    "<meta name=\"generator\" content=\"diffuse-batch gallery\">\n";
constexpr std::size_t kPiece = std::size_t{1} << 20;

/// The source that a content security policy names for an inline text: its SHA-256 in base64.
std::string policy_source(std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  if (EVP_Digest(text.data(), text.size(), digest.data(), &length, EVP_sha256(), nullptr) != 1) {
    throw Error(ExitCode::bug, "the gallery's script cannot be hashed");
  }
  std::array<unsigned char, std::size_t{2} * EVP_MAX_MD_SIZE> base64{};
  const int written = EVP_EncodeBlock(base64.data(), digest.data(), static_cast<int>(length));
  return "'sha256-" +
         std::string(reinterpret_cast<const char*>(base64.data()),
                     static_cast<std::size_t>(written)) +
         "'";
}

std::string head() {
  return std::string(kBegin) +
         "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src "
         "'self' "
         "file:; style-src " +
         policy_source(kGalleryStyle) + "; script-src " + policy_source(kGalleryScript) +
         "; base-uri 'none'; form-action 'none'\">\n"
         "<meta name=\"viewport\" content=\"width=device-width\">\n"
         "<title>diffuse-batch gallery</title>\n<style>" +
         std::string(kGalleryStyle) + "</style>\n</head>\n<body>\n" + std::string(kGalleryBody);
}

std::string open_table(const char* id) {
  return std::string("<script type=\"application/json\" id=\"") + id + "\">[";
}

/// Values that many records share, each told once.
class SharedValues {
 public:
  std::size_t place_of(const std::string& value) {
    const auto [at, is_new] = places_.emplace(value, values_.size());
    if (is_new) values_.push_back(&at->first);
    return at->second;
  }

  [[nodiscard]] std::string table(const char* id) const {
    std::string text = open_table(id);
    for (const std::string* value : values_) {
      text += value == values_.front() ? "\n" : ",\n";
      text += *value;
    }
    return text + "]</script>\n";
  }

 private:
  std::unordered_map<std::string, std::size_t> places_;
  std::vector<const std::string*> values_;  // keys of places_, which do not move
};

std::string text_or_null(const std::string& text) {
  return text.empty() ? "null" : script_json(text);
}

std::string settings_json(const PictureJob& job) {
  json settings = {{"negative_prompt", job.negative_prompt},
                   {"size", std::to_string(job.width) + "x" + std::to_string(job.height)},
                   {"num_inference_steps", job.num_inference_steps},
                   {"guidance_scale", job.guidance_scale},
                   {"scheduler", job.scheduler},
                   {"dtype", job.dtype},
                   {"device", job.device_type},
                   {"instruction_set", job.instruction_set},
                   {"model_fingerprint", job.model_fingerprint}};
  if (job.guidance_rescale != 0) settings["guidance_rescale"] = job.guidance_rescale;
  if (job.eta != 0) settings["eta"] = job.eta;
  if (job.clip_skip >= 0) settings["clip_skip"] = job.clip_skip;
  if (job.noise_source != "cpu") settings["noise_source"] = job.noise_source;
  std::string out = "{";
  for (const auto& [key, value] : settings.items()) {
    out += (out.size() == 1 ? "" : ",") + script_json(key) + ":" +
           (value.is_string() ? script_json(value.get_ref<const std::string&>()) : value.dump());
  }
  return out + "}";
}

/// A record as a row; page.js names the columns.
std::string row(const ManifestRecord& record, SharedValues& hosts, SharedValues& settings) {
  const bool failed = record.status == RecordStatus::failed;
  std::string out = "[" + std::to_string(record.index) + "," + std::to_string(record.line) + "," +
                    script_json(record.name) + "," + script_json(record.job.prompt) + ",\"" +
                    std::to_string(record.job.seed) + "\"," + text_or_null(record.path) + "," +
                    (failed ? script_json(record.error.empty() ? "failed" : record.error) : "null");
  out += "," + std::to_string(record.milliseconds) + "," + std::to_string(record.rank) + "," +
         std::to_string(hosts.place_of(script_json(record.host))) + "," +
         std::to_string(settings.place_of(settings_json(record.job))) + "," +
         script_json(record.note) + "," + script_json(record.metadata) + "]";
  return out;
}

}  // namespace

std::string script_json(std::string_view text) {
  const std::string plain = json(text).dump(-1, ' ', false, json::error_handler_t::replace);
  std::string out;
  out.reserve(plain.size());
  for (std::size_t at = 0; at < plain.size(); ++at) {
    const std::string_view rest = std::string_view(plain).substr(at, 3);
    if (rest == "\xE2\x80\xA8" || rest == "\xE2\x80\xA9") {
      out += rest.back() == '\xA8' ? "\\u2028" : "\\u2029";
      at += 2;
    } else if (rest.front() == '<' || rest.front() == '>' || rest.front() == '&') {
      out += rest.front() == '<' ? "\\u003c" : rest.front() == '>' ? "\\u003e" : "\\u0026";
    } else {
      out += rest.front();
    }
  }
  return out;
}

void check_gallery(const fs::path& output_folder) {
  const fs::path page = output_folder / kGalleryName;
  std::error_code ignored;
  if (!fs::exists(fs::symlink_status(page, ignored))) return;
  std::string start(kBegin.size(), '\0');
  std::ifstream file(page, std::ios::binary);
  file.read(start.data(), static_cast<std::streamsize>(start.size()));
  if (!fs::is_regular_file(fs::symlink_status(page, ignored)) || start != kBegin) {
    throw InputError(
        ExitCode::bad_output,
        "'" + printable(page.string()) +
            "' is no gallery of this program, so --gallery leaves it as it is; move it "
            "away and start again");
  }
}

GalleryReport write_gallery(const fs::path& output_folder) {
  check_gallery(output_folder);
  GalleryReport report;
  SharedValues hosts;
  SharedValues settings;
  AtomicFile page(output_folder / kGalleryName);
  std::string out = head() + open_table("records");
  ManifestReader manifest(output_folder / kManifestName);
  while (const auto line = manifest.next()) {
    const std::optional<ManifestRecord> record = parse_manifest_line(line->text);
    if (!record) continue;
    if (report.records == kMostGalleryRecords) {
      ++report.left_out;
      continue;
    }
    out += (report.records == 0 ? "\n" : ",\n") + row(*record, hosts, settings);
    ++report.records;
    report.failed += record->status == RecordStatus::failed ? 1 : 0;
    if (out.size() < kPiece) continue;
    page.write(out);
    out.clear();
  }
  page.write(out + "]</script>\n" + hosts.table("hosts") + settings.table("settings") + "<script>" +
             std::string(kGalleryScript) + "</script>\n</body>\n</html>\n");
  page.finish();
  page.commit();
  return report;
}

}  // namespace diffuse
