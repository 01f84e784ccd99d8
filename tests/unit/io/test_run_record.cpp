#include <catch2/catch.hpp>

#include "core/base/error.hpp"
#include "core/io/run_record.hpp"
#include "tests/unit/io/io_test_files.hpp"

using namespace diffuse;
using namespace diffuse::test;

namespace {

RunRecord some_record() {
  RunRecord record;
  record.program_version = "0.1.0";
  record.settings = {{"dtype", "bf16", Origin::chosen},
                     {"model_fingerprint", "abc", Origin::given},
                     {"num_inference_steps", "20", Origin::given},
                     {"seed", "42", Origin::drawn}};
  return record;
}

std::string refusal(const RunRecord& recorded, const RunRecord& wanted) {
  try {
    continue_run(recorded, wanted, "out");
  } catch (const InputError& error) {
    CHECK(error.code() == ExitCode::busy_output);
    return error.what();
  }
  return "";
}

bool has(const std::string& text, const std::string& part) {
  INFO(text);
  CHECK(text.find(part) != std::string::npos);
  return true;
}

}  // namespace

TEST_CASE("a run record comes back as it was written") {
  const TemporaryFolder folder;
  CHECK_FALSE(read_run_record(folder.path()).has_value());
  RunRecord record = some_record();
  write_run_record(folder.path(), record);
  CHECK(read_run_record(folder.path()) == record);
  record.overwriting = true;
  record.exit_code = 75;
  write_run_record(folder.path(), record);
  CHECK(read_run_record(folder.path()) == record);
  CHECK(setting_of(record, "seed") == "42");
  CHECK_FALSE(setting_of(record, "sed").has_value());
  CHECK(names_in(folder.path()) == std::vector<std::string>{"run.json"});
}

TEST_CASE("what was left open is taken over, what was given must agree") {
  const RunRecord recorded = some_record();
  RunRecord wanted = some_record();
  wanted.settings[0].value = "f32";  // auto chooses otherwise on this machine
  wanted.settings[3].value = "7";    // drawn anew
  CHECK(continue_run(recorded, wanted, "out").settings == recorded.settings);

  // Given now, and equal to what was drawn then.
  wanted.settings[3] = {"seed", "42", Origin::given};
  CHECK(refusal(recorded, wanted).empty());

  wanted.settings[2].value = "30";
  wanted.settings[3].value = "43";
  const std::string told = refusal(recorded, wanted);
  has(told, "num_inference_steps was '20' and is now '30'");
  has(told, "seed was '42' and is now '43'");
  CHECK(told.find("dtype") == std::string::npos);
  CHECK(told.find('\n') == std::string::npos);

  wanted = some_record();
  wanted.settings.push_back({"eta", "1", Origin::given});
  wanted.settings.erase(wanted.settings.begin() + 1);
  has(refusal(recorded, wanted), "eta was not recorded and is now '1'");
  has(refusal(recorded, wanted), "model_fingerprint was 'abc' and is now not set");
}

TEST_CASE("an unfinished overwriting goes on") {
  RunRecord recorded = some_record();
  CHECK_FALSE(continue_run(recorded, some_record(), "out").overwriting);
  recorded.overwriting = true;
  CHECK(continue_run(recorded, some_record(), "out").overwriting);
}

TEST_CASE("files that are no run records") {
  const TemporaryFolder folder;
  write_run_record(folder.path(), some_record());
  const std::string good = content_of(folder.path() / "run.json");
  const auto told = [&](const std::string& text) -> std::string {
    put(folder.path() / "run.json", text);
    try {
      read_run_record(folder.path());
    } catch (const InputError& error) {
      CHECK(error.code() == ExitCode::busy_output);
      return error.what();
    }
    return "";
  };
  for (std::size_t n = 0; n + 2 < good.size(); ++n) has(told(good.substr(0, n)), "run record");
  has(told("[]"), "not one of this program");
  has(told("{}"), "not one of this program");
  has(told(std::string(200'000, '[')), "not one of this program");
  has(told(std::string(3'000'000, ' ')), "cannot be read");
  std::string other = good;
  other.replace(other.find("\"format\": 1"), 11, "\"format\": 2");
  has(told(other), "another version");
  other = good;
  other.replace(other.find("drawn"), 5, "found");
  has(told(other), "not one of this program");
  std::filesystem::remove(folder.path() / "run.json");
  std::filesystem::create_directory(folder.path() / "run.json");
  CHECK_THROWS_AS(read_run_record(folder.path()), InputError);
}
