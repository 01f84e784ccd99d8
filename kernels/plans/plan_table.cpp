#include "kernels/plans/plan_table.hpp"

#include <nlohmann/json.hpp>

#include "core/base/error.hpp"
#include "core/base/hashing.hpp"
#include "core/base/json_file.hpp"
#include "core/base/text.hpp"
#include "kernels/plans/plan_fields.hpp"

namespace diffuse {
namespace {

using nlohmann::json;

constexpr int kFormat = 1;
constexpr JsonLimits kLimits{.max_bytes = std::size_t{8} << 20, .max_depth = 8};

template <class Map>
void add_missing(Map& to, const Map& from) {
  to.insert(from.begin(), from.end());
}

template <class Map>
bool differ(const Map& a, const Map& b) {
  for (const auto& [shape, choice] : a) {
    const auto found = b.find(shape);
    if (found != b.end() && found->second != choice) return true;
  }
  return false;
}

json entries_of(const PlanTable& table) {
  return {{"convolutions", entries_json(table.convolutions)},
          {"linears", entries_json(table.linears)},
          {"attentions", entries_json(table.attentions)}};
}

std::string machine_word(const json& from, const char* key) {
  auto text = from.at(key).get<std::string>();
  if (text.size() > 200) throw std::invalid_argument("a name is too long");
  return text;
}

PlanTable table_from(const json& object) {
  if (object.at("format").get<int>() != kFormat) throw std::invalid_argument("another version");
  PlanTable table;
  const json& machine = object.at("machine");
  table.machine.gpu = machine_word(machine, "gpu");
  table.machine.capability = number_from(machine, "capability", 1000);
  table.machine.driver = machine_word(machine, "driver");
  table.machine.cudnn = machine_word(machine, "cudnn");
  table.machine.cublaslt = machine_word(machine, "cublaslt");
  table.tuned = object.at("tuned").get<std::string>();
  if (table.tuned.size() > 8 ||
      table.tuned.find_first_not_of("0123456789abcdef") != std::string::npos) {
    throw std::invalid_argument("'tuned' names no table");
  }
  read_entries(object.at("convolutions"), table.convolutions);
  read_entries(object.at("linears"), table.linears);
  read_entries(object.at("attentions"), table.attentions);
  return table;
}

}  // namespace

bool PlanMachine::fits(const PlanMachine& other) const {
  return gpu == other.gpu && capability == other.capability && cudnn == other.cudnn &&
         cublaslt == other.cublaslt;
}

std::string PlanMachine::text() const {
  return printable(gpu) + " sm_" + std::to_string(capability) + " cudnn " + printable(cudnn) +
         " cublaslt " + printable(cublaslt) + " driver " + printable(driver);
}

std::string PlanTable::id() const {
  Sha256 hash;
  hash.update_field(machine.gpu).update(static_cast<std::uint64_t>(machine.capability));
  hash.update_field(machine.cudnn).update_field(machine.cublaslt);
  hash.update_field(entries_of(*this).dump());
  return hash.hex().substr(0, 8);
}

void PlanTable::add(const PlanTable& other) {
  add_missing(convolutions, other.convolutions);
  add_missing(linears, other.linears);
  add_missing(attentions, other.attentions);
}

bool PlanTable::contradicts(const PlanTable& other) const {
  return differ(convolutions, other.convolutions) || differ(linears, other.linears) ||
         differ(attentions, other.attentions);
}

std::string plan_table_text(const PlanTable& table) {
  json object = entries_of(table);
  object["format"] = kFormat;
  object["program"] = "diffuse-batch";
  object["tuned"] = table.tuned;
  object["machine"] = {{"gpu", table.machine.gpu},
                       {"capability", table.machine.capability},
                       {"driver", table.machine.driver},
                       {"cudnn", table.machine.cudnn},
                       {"cublaslt", table.machine.cublaslt}};
  return object.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
}

PlanTable parse_plan_table(std::string_view text, const std::filesystem::path& path) {
  const auto refuse = [&](const std::string& why) {
    return InputError(ExitCode::bad_model, "plan table '" + printable(path.string()) +
                                               "' cannot be used: " + why +
                                               "; make it anew with --tune-plans");
  };
  try {
    return table_from(parse_json(text, path, kLimits));
  } catch (const json::exception& error) {
    throw refuse(json_problem(error));
  } catch (const std::invalid_argument& error) {
    throw refuse(error.what());
  } catch (const InputError& error) {
    throw refuse(error.what());
  }
}

}  // namespace diffuse
