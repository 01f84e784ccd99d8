#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <map>

#include "kernels/plans/plan_cache.hpp"
#include "tests/unit/plans/plan_examples.hpp"

namespace diffuse::test {
namespace {

namespace fs = std::filesystem;

std::optional<fs::path> path_in(const std::map<std::string, std::string>& variables) {
  return plan_cache_path(example_machine(), [&](const char* name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  });
}

class Folder {
 public:
  Folder() : path_(fs::temp_directory_path() / ("plans-" + std::to_string(::getpid()))) {
    fs::create_directories(path_);
  }
  ~Folder() { fs::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] fs::path file(const std::string& text) const {
    std::ofstream(path_ / "plans.json") << text;
    return path_ / "plans.json";
  }

 private:
  fs::path path_;
};

}  // namespace

TEST_CASE("timed plans are kept in the user's cache folder, a file for each machine") {
  const auto here = path_in({{"XDG_CACHE_HOME", "/c"}, {"HOME", "/h"}});
  REQUIRE(here);
  CHECK(here->parent_path() == "/c/diffuse-batch");
  CHECK(path_in({{"HOME", "/h"}})->parent_path() == "/h/.cache/diffuse-batch");
  CHECK(path_in({{"XDG_CACHE_HOME", "relative"}, {"HOME", "/h"}})->parent_path() ==
        "/h/.cache/diffuse-batch");
  CHECK(path_in({{"XDG_CACHE_HOME", ""}}) == std::nullopt);
  CHECK(path_in({{"HOME", ""}}) == std::nullopt);

  PlanMachine other = example_machine();
  other.driver = "14.0";
  const auto there =
      plan_cache_path(other, [](const char*) -> std::optional<std::string> { return "/c"; });
  CHECK(there->filename() != here->filename());
}

TEST_CASE("a plan cache that is not there is empty, one that cannot be used says why") {
  const Folder folder;
  std::string why;
  PlanTable empty;
  empty.machine = example_machine();
  CHECK(load_plan_cache("/nowhere/plans.json", example_machine(), &why) == empty);
  CHECK(why.empty());

  CHECK(load_plan_cache(folder.file(plan_table_text(example_table())), example_machine(), &why) ==
        example_table());
  CHECK(why.empty());

  CHECK(load_plan_cache(folder.file("{\"format\": 1"), example_machine(), &why) == empty);
  CHECK(why.find("cannot be used") != std::string::npos);

  PlanMachine other = example_machine();
  other.driver = "14.0";
  empty.machine = other;
  why.clear();
  CHECK(load_plan_cache(folder.file(plan_table_text(example_table())), other, &why) == empty);
  CHECK(why.find("is of NVIDIA H200") != std::string::npos);
}

}  // namespace diffuse::test
