// A line of JSON Lines: one object with the fields of a prompt.
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "core/base/json_file.hpp"
#include "core/base/text.hpp"
#include "core/io/prompt_draft.hpp"

namespace diffuse {
namespace {

using json = nlohmann::ordered_json;  // metadata keeps the order of its keys

constexpr int kMaxDepth = 16;

/// Watches a parse: stops it where it nests too deep, remembers keys given twice.
class Watch {
 public:
  bool see(int depth, json::parse_event_t event, const json& parsed) {
    if (depth > kMaxDepth) {
      problem_ = "nests deeper than " + std::to_string(kMaxDepth) + " levels";
      throw TooDeep();
    }
    if (event == json::parse_event_t::object_start) keys_.emplace_back();
    if (event == json::parse_event_t::object_end) keys_.pop_back();
    if (event == json::parse_event_t::key && problem_.empty()) {
      const auto& key = parsed.get_ref<const std::string&>();
      if (!keys_.back().insert(key).second) {
        problem_ = "the key \"" + printable(key, 40) + "\" is given twice";
      }
    }
    return true;
  }
  [[nodiscard]] const std::string& problem() const { return problem_; }
  struct TooDeep {};

 private:
  std::vector<std::unordered_set<std::string>> keys_;
  std::string problem_;
};

std::string shown(const json& value) {
  return value.is_object() || value.is_array() ? std::string("an ") + value.type_name()
                                               : value.dump();
}

void take(const std::string& key, const json& value, PromptDraft& draft) {
  const FieldType type = field_type(key);
  if (type == FieldType::unknown) return draft.add_unknown(key);
  if (value.is_null()) return;
  switch (type) {
    case FieldType::whole:
      // Whole numbers beyond 2^64 - 1 arrive as floating-point ones.
      if (!value.is_number_unsigned()) {
        return draft.add_wrong(
            key, key == "seed" ? "a whole number from 0 to 2^64 - 1" : "a whole number",
            shown(value));
      }
      return draft.set_whole(key, value.get<std::uint64_t>());
    case FieldType::real:
      if (!value.is_number()) return draft.add_wrong(key, "a number", shown(value));
      return draft.set_real(key, value.get<double>());
    case FieldType::text:
      if (!value.is_string()) return draft.add_wrong(key, "a text in quotes", shown(value));
      return draft.set_text(key, value.get<std::string>());
    case FieldType::json:
    case FieldType::unknown:
      return draft.set_metadata(value.dump());
  }
}

}  // namespace

ParsedLine parse_json_line(std::string_view text, std::int64_t line, const ListRules& rules) {
  Watch watch;
  const auto see = [&watch](int depth, json::parse_event_t event, json& parsed) {
    return watch.see(depth, event, parsed);
  };
  json object;
  try {
    object = json::parse(text, see);
  } catch (const Watch::TooDeep&) {
    return wrong_line(text, watch.problem(), line);
  } catch (const nlohmann::json::exception& error) {
    return wrong_line(text, "no valid JSON: " + json_problem(error), line);
  }
  if (!watch.problem().empty()) return wrong_line(text, watch.problem(), line);
  if (!object.is_object()) {
    return wrong_line(text, "not an object such as {\"prompt\": \"a cat\"} but " + shown(object),
                      line);
  }
  PromptDraft draft(rules);
  for (const auto& [key, value] : object.items()) take(key, value, draft);
  return std::move(draft).finish(line);
}

}  // namespace diffuse
