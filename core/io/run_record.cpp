#include "core/io/run_record.hpp"

#include <algorithm>
#include <array>
#include <fstream>
#include <nlohmann/json.hpp>
#include <system_error>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/io/atomic_file.hpp"

namespace diffuse {
namespace {

using nlohmann::json;

constexpr int kFormat = 1;
constexpr int kMaxDepth = 8;
constexpr std::size_t kMaxBytes = std::size_t{1} << 20;
constexpr std::size_t kMaxTold = 60;
constexpr std::array kOrigins = {"given", "chosen", "drawn"};

[[noreturn]] void refuse(const std::filesystem::path& path, const std::string& problem) {
  throw InputError(ExitCode::busy_output,
                   "run record '" + printable(path.string()) + "' " + problem +
                       ", so it is not known what the pictures beside it are; take another output "
                       "folder or --overwrite");
}

std::string read_bytes(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(kMaxBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > kMaxBytes || file.bad()) refuse(path, "cannot be read");
  return text;
}

json parse(const std::filesystem::path& path, const std::string& text) {
  bool too_deep = false;
  const auto watch = [&too_deep](int depth, json::parse_event_t, const json&) {
    too_deep = too_deep || depth > kMaxDepth;
    return !too_deep;
  };
  json value = json::parse(text, watch, false);
  if (too_deep || !value.is_object()) refuse(path, "is not one of this program");
  return value;
}

RunRecord record_from(const json& object) {
  RunRecord record;
  record.program_version = object.at("version").get<std::string>();
  record.overwriting = object.at("overwriting").get<bool>();
  if (const json& code = object.at("exit_code"); !code.is_null())
    record.exit_code = code.get<int>();
  for (const auto& [name, entry] : object.at("settings").get_ref<const json::object_t&>()) {
    const auto word = entry.at("origin").get<std::string>();
    const auto at = std::find(kOrigins.begin(), kOrigins.end(), word);
    if (at == kOrigins.end()) throw std::invalid_argument("unknown origin");
    record.settings.push_back({name, entry.at("value").get<std::string>(),
                               static_cast<Origin>(std::distance(kOrigins.begin(), at))});
  }
  return record;
}

}  // namespace

std::optional<std::string> setting_of(const RunRecord& record, const std::string& name) {
  for (const RunSetting& setting : record.settings) {
    if (setting.name == name) return setting.value;
  }
  return std::nullopt;
}

std::optional<RunRecord> read_run_record(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / kRunRecordName;
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (status.type() == std::filesystem::file_type::not_found) return std::nullopt;
  if (!std::filesystem::is_regular_file(status)) refuse(path, "is no regular file");
  const json object = parse(path, read_bytes(path));
  try {
    if (object.at("format").get<int>() != kFormat) refuse(path, "is of another version");
    return record_from(object);
  } catch (const json::exception&) {
    refuse(path, "is not one of this program");
  } catch (const std::invalid_argument&) {
    refuse(path, "is not one of this program");
  }
}

void write_run_record(const std::filesystem::path& folder, const RunRecord& record) {
  json settings = json::object();
  for (const RunSetting& setting : record.settings) {
    settings[setting.name] = {{"value", setting.value},
                              {"origin", kOrigins[static_cast<std::size_t>(setting.origin)]}};
  }
  const json object = {{"format", kFormat},
                       {"program", "diffuse-batch"},
                       {"version", record.program_version},
                       {"overwriting", record.overwriting},
                       {"exit_code", record.exit_code ? json(*record.exit_code) : json()},
                       {"settings", settings}};
  // A path given by the user need not be UTF-8: it is recorded with what cannot be shown replaced.
  write_file_atomically(folder / kRunRecordName,
                        object.dump(2, ' ', false, json::error_handler_t::replace) + "\n");
}

RunRecord continue_run(const RunRecord& recorded, const RunRecord& wanted,
                       const std::filesystem::path& folder) {
  RunRecord next = wanted;
  next.overwriting = wanted.overwriting || recorded.overwriting;
  std::string differences;
  const auto differ = [&differences](const std::string& name, const std::string& was,
                                     const std::string& is) {
    differences +=
        (differences.empty() ? "" : ", ") + printable(name) + " was " + was + " and is now " + is;
  };
  const auto shown = [](const std::string& value) {
    return "'" + printable(value, kMaxTold) + "'";
  };
  for (RunSetting& setting : next.settings) {
    const auto was = std::find_if(recorded.settings.begin(), recorded.settings.end(),
                                  [&](const RunSetting& s) { return s.name == setting.name; });
    if (was == recorded.settings.end()) {
      differ(setting.name, "not recorded", shown(setting.value));
    } else if (setting.origin != Origin::given) {
      setting = *was;
    } else if (setting.value != was->value) {
      differ(setting.name, shown(was->value), shown(setting.value));
    }
  }
  for (const RunSetting& setting : recorded.settings) {
    if (!setting_of(wanted, setting.name)) differ(setting.name, shown(setting.value), "not set");
  }
  if (!differences.empty()) {
    throw InputError(ExitCode::busy_output,
                     "output folder '" + printable(folder.string()) +
                         "' holds pictures of another run: " + differences +
                         "; take another output folder, the settings of that run, or --overwrite");
  }
  return next;
}

}  // namespace diffuse
