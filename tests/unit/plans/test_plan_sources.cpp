#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "apps/diffuse_batch/plan_sources.hpp"
#include "core/base/error.hpp"
#include "tests/unit/plans/plan_examples.hpp"

namespace diffuse::test {
namespace {

namespace fs = std::filesystem;

// An output folder, a folder of shipped tables and a file to give, all empty at first.
class Places {
 public:
  Places() : base_(fs::temp_directory_path() / ("plan-sources-" + std::to_string(::getpid()))) {
    fs::remove_all(base_);
    fs::create_directories(base_ / "output");
    fs::create_directories(base_ / "shipped");
  }
  ~Places() { fs::remove_all(base_); }
  Places(const Places&) = delete;
  Places& operator=(const Places&) = delete;

  void leave(const std::string& text) const { write(base_ / "output" / kRunPlansName, text); }
  void ship(const std::string& name, const std::string& text) const {
    write(base_ / "shipped" / name, text);
  }
  void give(const std::string& text) const { write(base_ / "given.json", text); }

  [[nodiscard]] PlanSources sources() const {
    const bool given = fs::exists(base_ / "given.json");
    return {base_ / "output", given ? base_ / "given.json" : fs::path(), base_ / "shipped", false};
  }
  [[nodiscard]] PlanTable find() const { return plans_to_begin_with(sources(), example_machine()); }
  /// Exit code and message of a refusal.
  [[nodiscard]] std::pair<ExitCode, std::string> refusal() const {
    try {
      static_cast<void>(find());
    } catch (const Error& error) {
      return {error.code(), error.what()};
    }
    return {ExitCode::ok, ""};
  }

 private:
  static void write(const fs::path& path, const std::string& text) { std::ofstream(path) << text; }
  fs::path base_;
};

// A table with one choice, so that tables differ.
PlanTable table_of(std::int64_t engine, const std::string& gpu = "NVIDIA H200") {
  PlanTable table;
  table.machine = example_machine();
  table.machine.gpu = gpu;
  table.convolutions[example_convolution(320)] = EngineChoice{engine, {}};
  return table;
}
std::string text_of(std::int64_t engine, const std::string& gpu = "NVIDIA H200") {
  return plan_table_text(table_of(engine, gpu));
}
// As a run leaves it that began with that table.
std::string left_by(const PlanTable& from) {
  PlanTable table = from;
  table.tuned = from.id();
  table.linears[example_linear(320)] = std::nullopt;
  return plan_table_text(table);
}
std::int64_t engine_of(const PlanTable& table) {
  return table.convolutions.at(example_convolution(320))->engine;
}

}  // namespace

TEST_CASE("a run begins with the table given, else a shipped one that fits, else none") {
  const Places places;
  CHECK(places.find().size() == 0);
  CHECK(places.find().machine == example_machine());
  CHECK(places.find().tuned.empty());
  places.ship("a.json", text_of(1, "NVIDIA A100"));
  places.ship("b.json", "{");
  CHECK(places.find().size() == 0);
  places.ship("c.json", text_of(3));
  CHECK(engine_of(places.find()) == 3);
  CHECK(places.find().tuned == table_of(3).id());
  places.give(text_of(4));
  CHECK(engine_of(places.find()) == 4);
  CHECK(places.find().tuned == table_of(4).id());
}

TEST_CASE("a run goes on with the plans it began with, whatever ships by now") {
  const Places places;
  places.leave(left_by(table_of(5)));
  places.ship("c.json", text_of(3));
  CHECK(engine_of(places.find()) == 5);
  CHECK(places.find().tuned == table_of(5).id());
  CHECK(places.find().linears.size() == 1);
  // The same table given again is no other one.
  places.give(text_of(5));
  CHECK(engine_of(places.find()) == 5);
  places.give(text_of(6));
  const auto [code, message] = places.refusal();
  CHECK(code == ExitCode::busy_output);
  CHECK(message.find("table " + table_of(5).id()) != std::string::npos);
  CHECK(message.find("--plans gives table " + table_of(6).id()) != std::string::npos);
  PlanSources anew = places.sources();
  anew.overwrite = true;
  CHECK(engine_of(plans_to_begin_with(anew, example_machine())) == 6);
}

TEST_CASE("a folder whose plans are of another machine, or torn, is another run's") {
  const Places places;
  places.ship("c.json", text_of(3));
  for (const std::string& text :
       {text_of(5, "NVIDIA A100"), std::string("{\"format\": 1, "), std::string()}) {
    places.leave(text);
    const auto [code, message] = places.refusal();
    INFO(message);
    CHECK(code == ExitCode::busy_output);
    CHECK(message.find("--overwrite") != std::string::npos);
    PlanSources anew = places.sources();
    anew.overwrite = true;
    CHECK(engine_of(plans_to_begin_with(anew, example_machine())) == 3);
  }
}

TEST_CASE("a table given for another machine, or that is none, is a usage mistake") {
  const Places places;
  places.give(text_of(1, "NVIDIA A100"));
  CHECK(places.refusal().first == ExitCode::usage);
  CHECK(places.refusal().second.find("is for NVIDIA A100") != std::string::npos);
  places.give("[]");
  CHECK(places.refusal().first == ExitCode::usage);
  PlanSources nowhere = places.sources();
  nowhere.given = "/nowhere/plans.json";
  CHECK_THROWS_AS(plans_to_begin_with(nowhere, example_machine()), ConfigError);
}

}  // namespace diffuse::test
