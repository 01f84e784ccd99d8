#include <catch2/catch.hpp>
#include <set>
#include <string>
#include <vector>

#include "core/pipeline/picture_name.hpp"

using namespace diffuse;

namespace {

RenderJob job_of(std::int64_t index, const std::string& name = "", std::uint64_t seed = 7,
                 const std::string& prompt = "a cat") {
  RenderJob job;
  job.index = index;
  job.name = name;
  job.seed = seed;
  job.prompt = prompt;
  return job;
}

std::string named(const std::string& pattern, const RenderJob& job, std::int64_t shard = 0) {
  return picture_file_name(job, pattern, shard, ".png");
}

const std::string kDefault(kDefaultNamePattern);

}  // namespace

TEST_CASE("file names have six digits or more") {
  CHECK(named(kDefault, job_of(0)) == "000000.png");
  CHECK(named(kDefault, job_of(41)) == "000041.png");
  CHECK(named(kDefault, job_of(999'999)) == "999999.png");
  CHECK(picture_file_name(job_of(1'000'000), kDefault, 0, ".safetensors") == "1000000.safetensors");
}

TEST_CASE("names by pattern") {
  const RenderJob job = job_of(41, "castle", 99, "A (red:1.2) cat, caf\xC3\xA9!");
  CHECK(named(kDefault, job) == "000041-castle.png");
  CHECK(named("{index}_{seed}", job) == "000041_99.png");
  CHECK(named("{slug}-{index}", job) == "A-red-1-2-cat-caf-000041.png");
  CHECK(named("night.{name}.{slug}.{index}", job) == "night.castle.A-red-1-2-cat-caf.000041.png");
  // The index stands where it cannot be mistaken: in front, unless set apart at the end.
  CHECK(named("{name}", job) == "000041-castle.png");
  CHECK(named("{name}{index}", job) == "000041-castle.png");
  CHECK(named("{seed}-{index}-{name}", job) == "000041-99-castle.png");
  CHECK(named("{index}", job) == "000041.png");
  CHECK(named("night", job) == "000041-night.png");
  // A part that is empty takes its separators along.
  CHECK(named("{index}-{name}-{slug}", job_of(1)) == "000001-a-cat.png");
  CHECK(named("{index}-{name}", job_of(1, "../")) == "000001.png");
  CHECK(named("{name}-{index}", job_of(1)) == "000001.png");
  CHECK(named("{index}-{name}{seed}", job_of(1)) == "000001-7.png");
}

TEST_CASE("folders hold shard_size pictures each") {
  CHECK(named(kDefault, job_of(0), 1000) == "00000/000000.png");
  CHECK(named(kDefault, job_of(999), 1000) == "00000/000999.png");
  CHECK(named(kDefault, job_of(1000, "x"), 1000) == "00001/001000-x.png");
  CHECK(named(kDefault, job_of(123'456'789), 1000) == "123456/123456789.png");
}

TEST_CASE("names from a list leave no folder, hide no file and are no option") {
  CHECK(named(kDefault, job_of(1, "../../etc/passwd")) == "000001-etc_passwd.png");
  CHECK(named(kDefault, job_of(1, "/abs/x")) == "000001-abs_x.png");
  CHECK(named(kDefault, job_of(1, "C:\\con\\nul")) == "000001-C_con_nul.png");
  CHECK(named("{name}-{index}", job_of(1, "-rf")) == "rf-000001.png");
  CHECK(named("{name}-{index}", job_of(1, ".hidden")) == "hidden-000001.png");
  CHECK(named(kDefault, job_of(1, "CON")) == "000001-CON.png");
  CHECK(named(kDefault, job_of(1, std::string("a\0b\n\x1b[31mc\"'`$;d", 16))) ==
        "000001-a_b_31mc_d.png");
  CHECK(named(kDefault, job_of(1, "\xE2\x80\xAEgnp.exe")) == "000001-gnp.exe.png");
  CHECK(named("{slug}-{index}", job_of(1, "", 0, "-rf / && ..")) == "rf-000001.png");
  CHECK(named("{slug}-{index}", job_of(1, "", 0, "\xF0\x9F\x90\x88")) == "000001.png");
}

TEST_CASE("names stay within 255 bytes and are made of plain characters") {
  const std::string long_text(100'000, 'x');
  RenderJob job = job_of(std::int64_t{1} << 62, long_text, ~std::uint64_t{0}, long_text);
  const std::string pattern = std::string(39, 'l') + "{name}{slug}{seed}-{index}";
  REQUIRE(name_pattern_problem(pattern).empty());
  CHECK(picture_file_name(job, pattern, 0, ".safetensors").size() <= 255);
  for (int byte = 0; byte < 256; ++byte) {
    job.name = std::string("a") + static_cast<char>(byte) + "b";
    job.prompt = job.name;
    const std::string name = named("{name}-{slug}-{index}", job);
    CAPTURE(byte, name);
    CHECK(name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "0123456789._-") == std::string::npos);
  }
}

TEST_CASE("no two pictures share a name, whatever the list calls them") {
  const std::vector<std::string> names = {"",         "000001", "a", "a-000002",
                                          "000002-b", "1",      "0", "x-1"};
  const std::vector<std::int64_t> indices = {0,       1,         2,         11,
                                             100'000, 1'000'000, 1'000'001, 10'000'000};
  for (const std::string pattern :
       {"{index}", "{name}", "{index}-{name}", "{name}-{index}", "{index}{name}", "{name}{index}",
        "{seed}{index}", "{name}-{index}-{seed}", "{index}-{name}{seed}", "{seed}_{name}_{index}",
        "{index}-{name}9", "9{name}-{index}", "x"}) {
    std::set<std::string> seen;
    for (const std::int64_t index : indices) {
      std::set<std::string> of_index;
      for (const std::string& name : names) {
        for (const std::uint64_t seed : {0U, 1U, 11U, 100'000U}) {
          of_index.insert(named(pattern, job_of(index, name, seed)));
        }
      }
      for (const std::string& name : of_index) {
        CAPTURE(pattern, index, name);
        CHECK(seen.insert(name).second);
      }
    }
  }
}

TEST_CASE("patterns that cannot be are refused") {
  CHECK(name_pattern_problem(kDefault).empty());
  CHECK(name_pattern_problem("night_{index}").empty());
  for (const std::string pattern :
       {"", "a/b", "../{index}", "{index}/{name}", "{date}", "{index", "index}", "{index}{index}",
        "{}", "-{index}", ".{index}", "a b", "caf\xC3\xA9"}) {
    CAPTURE(pattern);
    CHECK_FALSE(name_pattern_problem(pattern).empty());
  }
  CHECK_FALSE(name_pattern_problem(std::string(41, 'x')).empty());
}
