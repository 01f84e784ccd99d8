#include "kernels/plans/plan_fields.hpp"

#include <charconv>
#include <stdexcept>

namespace diffuse {
namespace {

using nlohmann::json;

constexpr std::int64_t kMostNumber = std::int64_t{1} << 40;
constexpr std::size_t kMostEntries = 20'000;
constexpr std::size_t kMostKnobs = 64;
constexpr const char* kWgmma = "wgmma";

// Every field of a shape with its name in JSON; `visit` reads or writes it.
template <class Shape, class Visit>
void for_each_field(Shape& s, const Visit& visit) requires
    std::is_same_v<std::remove_const_t<Shape>, ConvolutionShape> {
  visit("batch", s.batch);
  visit("height", s.height);
  visit("width", s.width);
  visit("channels", s.channels);
  visit("out_channels", s.out_channels);
  visit("kernel_height", s.kernel_height);
  visit("kernel_width", s.kernel_width);
  visit("stride", s.stride);
  visit("pad_top", s.pad_top);
  visit("pad_left", s.pad_left);
  visit("pad_bottom", s.pad_bottom);
  visit("pad_right", s.pad_right);
  visit("dtype", s.dtype);
  visit("bias", s.bias);
}

template <class Shape, class Visit>
void for_each_field(
    Shape& s, const Visit& visit) requires std::is_same_v<std::remove_const_t<Shape>, LinearShape> {
  visit("rows", s.rows);
  visit("in", s.in);
  visit("out", s.out);
  visit("x_stride", s.x_stride);
  visit("y_stride", s.y_stride);
  visit("residual_stride", s.residual_stride);
  visit("dtype", s.dtype);
  visit("out_dtype", s.out_dtype);
  visit("bias", s.bias);
  visit("residual", s.residual);
  visit("alignment", s.alignment);
  visit("picture_rows", s.picture_rows);
}

template <class Shape, class Visit>
void for_each_field(Shape& s, const Visit& visit) requires
    std::is_same_v<std::remove_const_t<Shape>, AttentionShape> {
  visit("batch", s.batch);
  visit("heads", s.heads);
  visit("head_dim", s.head_dim);
  visit("queries", s.queries);
  visit("keys", s.keys);
  visit("q_stride", s.q_stride);
  visit("k_stride", s.k_stride);
  visit("v_stride", s.v_stride);
  visit("y_stride", s.y_stride);
  visit("dtype", s.dtype);
  visit("causal", s.causal);
}

struct FieldWriter {
  json& to;
  void operator()(const char* key, std::int64_t value) const { to[key] = value; }
  void operator()(const char* key, bool value) const { to[key] = value; }
  void operator()(const char* key, DType value) const { to[key] = std::string(name_of(value)); }
};

struct FieldReader {
  const json& from;
  void operator()(const char* key, std::int64_t& value) const {
    value = number_from(from, key, kMostNumber);
  }
  void operator()(const char* key, bool& value) const { value = from.at(key).get<bool>(); }
  void operator()(const char* key, DType& value) const {
    const auto name = from.at(key).get<std::string>();
    for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
      if (name == name_of(dtype)) {
        value = dtype;
        return;
      }
    }
    throw std::invalid_argument(std::string(key) + " is none of f32, f16, bf16");
  }
};

json choice_json(const EngineChoice& choice) {
  json knobs = json::array();
  for (const auto& [type, value] : choice.knobs) knobs.push_back({type, value});
  return {{"engine", choice.engine}, {"knobs", knobs}};
}

json choice_json(const AttentionChoice& choice) {
  if (const auto* engine = std::get_if<EngineChoice>(&choice)) return choice_json(*engine);
  return {{"kernel", kWgmma}};
}

json choice_json(const AlgorithmChoice& choice) {
  constexpr const char* kDigits = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t byte : choice) {
    text += kDigits[byte >> 4U];
    text += kDigits[byte & 15U];
  }
  return text;
}

void read_choice(const json& from, EngineChoice& choice) {
  choice.engine = number_from(from, "engine", kMostNumber);
  const json& knobs = from.at("knobs");
  if (!knobs.is_array() || knobs.size() > kMostKnobs) throw std::invalid_argument("bad knobs");
  for (const json& knob : knobs) {
    if (!knob.is_array() || knob.size() != 2 || !knob[0].is_number_integer() ||
        !knob[1].is_number_integer()) {
      throw std::invalid_argument("a knob is no pair of numbers");
    }
    choice.knobs.emplace_back(knob[0].get<std::int64_t>(), knob[1].get<std::int64_t>());
  }
}

void read_choice(const json& from, AttentionChoice& choice) {
  if (!from.contains("kernel")) return read_choice(from, choice.emplace<EngineChoice>());
  if (from.at("kernel").get<std::string>() != kWgmma) {
    throw std::invalid_argument("attention by a kernel that is not known here");
  }
  choice = OwnAttention::wgmma;
}

void read_choice(const json& from, AlgorithmChoice& choice) {
  const auto text = from.get<std::string>();
  if (text.size() != 2 * choice.size()) throw std::invalid_argument("an algorithm of wrong length");
  for (std::size_t i = 0; i < choice.size(); ++i) {
    const char* digits = text.data() + 2 * i;
    const auto [end, error] = std::from_chars(digits, digits + 2, choice[i], 16);
    if (error != std::errc() || end != digits + 2) {
      throw std::invalid_argument("an algorithm that is not hexadecimal");
    }
  }
}

template <class Shape, class Choice>
json write_map(const std::map<Shape, std::optional<Choice>>& map) {
  json list = json::array();
  for (const auto& [shape, choice] : map) {
    json fields = json::object();
    for_each_field(shape, FieldWriter{fields});
    list.push_back({{"shape", fields}, {"choice", choice ? choice_json(*choice) : json()}});
  }
  return list;
}

template <class Shape, class Choice>
void read_map(const json& list, std::map<Shape, std::optional<Choice>>& map) {
  if (!list.is_array() || list.size() > kMostEntries) {
    throw std::invalid_argument("no list of entries, or too many");
  }
  for (const json& entry : list) {
    Shape shape;
    for_each_field(shape, FieldReader{entry.at("shape")});
    std::optional<Choice> choice;
    if (!entry.at("choice").is_null()) read_choice(entry.at("choice"), choice.emplace());
    if (!map.emplace(shape, std::move(choice)).second) {
      throw std::invalid_argument("a shape is there twice");
    }
  }
}

}  // namespace

std::int64_t number_from(const json& object, const char* key, std::int64_t most) {
  const json& value = object.at(key);
  if (value.is_number_unsigned() && value.get<std::uint64_t>() <= static_cast<std::uint64_t>(most))
    return value.get<std::int64_t>();
  throw std::invalid_argument(std::string(key) + " is no whole number up to " +
                              std::to_string(most));
}

json entries_json(const std::map<ConvolutionShape, std::optional<EngineChoice>>& map) {
  return write_map(map);
}
json entries_json(const std::map<LinearShape, std::optional<AlgorithmChoice>>& map) {
  return write_map(map);
}
json entries_json(const std::map<AttentionShape, std::optional<AttentionChoice>>& map) {
  return write_map(map);
}

void read_entries(const json& list, std::map<ConvolutionShape, std::optional<EngineChoice>>& map) {
  read_map(list, map);
}
void read_entries(const json& list, std::map<LinearShape, std::optional<AlgorithmChoice>>& map) {
  read_map(list, map);
}
void read_entries(const json& list, std::map<AttentionShape, std::optional<AttentionChoice>>& map) {
  read_map(list, map);
}

}  // namespace diffuse
