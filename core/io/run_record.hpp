#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace diffuse {

/// How a setting of a run came to its value.
enum class Origin {
  given,   ///< by the user, by default, or by what was found (the model's fingerprint)
  chosen,  ///< by the program, where the user left it open ("auto")
  drawn,   ///< at random (the base seed)
};

/// One setting that decides the bytes of pictures, its value as text.
struct RunSetting {
  std::string name;
  std::string value;
  Origin origin = Origin::given;

  bool operator==(const RunSetting&) const = default;
};

/// `run.json` of an output folder: what the pictures in it were made with.
struct RunRecord {
  std::string program_version;
  std::vector<RunSetting> settings;  ///< model fingerprint, base seed, dtype, ...; sorted by name
  bool overwriting = false;  ///< begun with --overwrite and not at its end: what it would replace,
                             ///< the same command may replace
  std::optional<int> exit_code;  ///< of the run that wrote last; nothing while one is at work

  bool operator==(const RunRecord&) const = default;
};

inline constexpr const char* kRunRecordName = "run.json";

/// The value of a setting, or nothing.
std::optional<std::string> setting_of(const RunRecord& record, const std::string& name);

/// The record of `folder`, or nothing if it has none.
/// Throws InputError(busy_output) for a file that is not a run record that this version reads.
std::optional<RunRecord> read_run_record(const std::filesystem::path& folder);

/// Writes it, whole or not at all. Throws Error(storage).
void write_run_record(const std::filesystem::path& folder, const RunRecord& record);

/// The record with which a run goes on in a folder that holds `recorded`: where `wanted` left a
/// setting open (chosen or drawn now), the recorded value and origin are taken over; `overwriting`
/// stays if it is set in either.
/// Throws InputError(busy_output) that names every setting that differs, with both values.
RunRecord continue_run(const RunRecord& recorded, const RunRecord& wanted,
                       const std::filesystem::path& folder);

}  // namespace diffuse
