#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "core/base/error.hpp"
#include "tests/unit/plans/plan_examples.hpp"

namespace diffuse::test {
namespace {

using nlohmann::json;

PlanTable parse(const std::string& text) { return parse_plan_table(text, "plans.json"); }

json example_json() { return json::parse(plan_table_text(example_table())); }

// The message of what is refused; empty if it is read.
std::string refusal(const std::string& text) {
  try {
    static_cast<void>(parse(text));
  } catch (const InputError& error) {
    return error.what();
  }
  return {};
}

}  // namespace

TEST_CASE("a plan table is read as it was written") {
  const PlanTable table = example_table();
  CHECK(parse(plan_table_text(table)) == table);
  CHECK(plan_table_text(parse(plan_table_text(table))) == plan_table_text(table));
  CHECK(parse(plan_table_text(PlanTable{})) == PlanTable{});
}

TEST_CASE("what is written for a shape has its name") {
  const json entry = example_json()["attentions"][2];
  CHECK(entry["shape"]["keys"] == 77);
  CHECK(entry["shape"]["k_stride"] == 640);
  CHECK(entry["shape"]["causal"] == true);
  CHECK(entry["shape"]["dtype"] == "f16");
  CHECK(entry["choice"] == json{{"engine", 8}, {"knobs", json::array()}});
  CHECK(example_json()["attentions"][1]["choice"] == json{{"kernel", "wgmma"}});
  CHECK(example_json()["attentions"][0]["choice"].is_null());
  CHECK(example_json()["linears"][1]["choice"].is_null());
}

// Written before attention had a second kernel of our own.
TEST_CASE("an older table is read") {
  const PlanTable table = parse(R"({"format": 1, "program": "diffuse-batch", "tuned": "",
      "machine": {"gpu": "NVIDIA H200", "capability": 90, "driver": "13.0", "cudnn": "9.19.0",
                  "cublaslt": "13.1.0"},
      "convolutions": [], "linears": [], "attentions": [
        {"choice": {"engine": 8, "knobs": [[1, 2]]},
         "shape": {"batch": 16, "heads": 8, "head_dim": 40, "queries": 4096, "keys": 77,
                   "q_stride": 320, "k_stride": 640, "v_stride": 640, "y_stride": 320,
                   "dtype": "f16", "causal": true}}]})");
  REQUIRE(table.attentions.size() == 1);
  CHECK(table.attentions.begin()->first == example_attention());
  CHECK(table.attentions.begin()->second == AttentionChoice(EngineChoice{8, {{1, 2}}}));
}

TEST_CASE("a plan table that is none is refused, with the reason in one line") {
  const auto changed = [](const std::function<void(json&)>& change) {
    json object = example_json();
    change(object);
    return refusal(object.dump());
  };
  const std::vector<std::string> refusals = {
      refusal(""),
      refusal("[]"),
      refusal("{}"),
      refusal(plan_table_text(example_table()).substr(0, 300)),
      refusal(std::string(1000, '[')),
      refusal(std::string(std::size_t{9} << 20, ' ')),
      changed([](json& t) { t["format"] = 2; }),
      changed([](json& t) { t["machine"].erase("cudnn"); }),
      changed([](json& t) { t["machine"]["gpu"] = std::string(1000, 'x'); }),
      changed([](json& t) { t["machine"]["capability"] = -90; }),
      changed([](json& t) { t["tuned"] = "not hex!"; }),
      changed([](json& t) { t["convolutions"] = 3; }),
      changed([](json& t) { t["convolutions"][0]["shape"].erase("pad_left"); }),
      changed([](json& t) { t["convolutions"][0]["shape"]["height"] = -1; }),
      changed([](json& t) { t["convolutions"][0]["shape"]["height"] = 1e30; }),
      changed([](json& t) { t["convolutions"][0]["shape"]["dtype"] = "u8"; }),
      changed([](json& t) { t["convolutions"][0]["shape"]["bias"] = 1; }),
      changed([](json& t) {
        t["convolutions"][0]["choice"]["knobs"][0] = {1, 2, 3};
      }),
      changed([](json& t) {
        t["convolutions"][0]["choice"]["knobs"] = json::array_t(100, {1, 2});
      }),
      changed([](json& t) { t["convolutions"].push_back(t["convolutions"][0]); }),
      changed([](json& t) { t["attentions"][1]["choice"]["kernel"] = "another"; }),
      changed([](json& t) { t["attentions"][1]["choice"]["kernel"] = 1; }),
      changed([](json& t) { t["attentions"][1]["choice"] = "wgmma"; }),
      changed([](json& t) { t["attentions"][1]["choice"] = json::object(); }),
      changed([](json& t) { t["linears"][0]["choice"] = "00"; }),
      changed([](json& t) { t["linears"][0]["choice"] = std::string(127, '0') + "g"; }),
      changed([](json& t) { t["linears"][0]["choice"] = std::string(126, '0') + "-1"; }),
  };
  for (std::size_t i = 0; i < refusals.size(); ++i) {
    INFO("case " << i << ": " << refusals[i]);
    CHECK(refusals[i].find("plan table 'plans.json' cannot be used: ") == 0);
    CHECK(refusals[i].find("--tune-plans") != std::string::npos);
    CHECK(refusals[i].find('\n') == std::string::npos);
  }
}

TEST_CASE("another driver fits a machine's choices, other libraries do not") {
  PlanMachine other = example_machine();
  CHECK(other.text() == "NVIDIA H200 sm_90 cudnn 9.19.0 cublaslt 13.1.0 driver 13.0");
  other.driver = "12.8";
  CHECK(example_machine().fits(other));
  CHECK_FALSE(example_machine() == other);
  for (const int change : {0, 1, 2, 3}) {
    other = example_machine();
    if (change == 0) other.gpu = "NVIDIA H100";
    if (change == 1) other.capability = 100;
    if (change == 2) other.cudnn = "9.20.0";
    if (change == 3) other.cublaslt = "13.2.0";
    CHECK_FALSE(example_machine().fits(other));
  }
}

TEST_CASE("a table is known by its choices") {
  const std::string id = example_table().id();
  CHECK(id.size() == 8);
  PlanTable table = example_table();
  table.machine.driver = "14.0";
  CHECK(table.id() == id);
  table.convolutions[example_convolution(320)]->knobs[1].second = -2;
  CHECK(table.id() != id);
  table = example_table();
  table.attentions[example_attention(1024)] = std::nullopt;
  CHECK(table.id() != id);
  table = example_table();
  table.machine.cudnn = "9.20.0";
  CHECK(table.id() != id);
}

TEST_CASE("tables are put together, and contradict each other where choices differ") {
  PlanTable a = example_table();
  PlanTable b;
  b.convolutions[example_convolution(320)] = EngineChoice{62, {}};
  b.convolutions[example_convolution(1280)] = EngineChoice{1, {}};
  CHECK(a.contradicts(b));
  CHECK(b.contradicts(a));
  a.add(b);
  CHECK(a.convolutions.size() == 3);
  CHECK(a.convolutions[example_convolution(320)]->engine == 41);
  CHECK_FALSE(a.contradicts(example_table()));
  PlanTable other_attention;
  other_attention.attentions[example_attention(1024)] = EngineChoice{8, {}};
  CHECK(a.contradicts(other_attention));
  PlanTable own;
  own.linears[example_linear(320)] = std::nullopt;
  CHECK(a.contradicts(own));
}

}  // namespace diffuse::test
