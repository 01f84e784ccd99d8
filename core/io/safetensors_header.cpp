#include "core/io/safetensors_header.hpp"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/base/json_file.hpp"
#include "core/base/text.hpp"

namespace diffuse {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxRank = 64;
constexpr std::string_view kDamaged = " (the file is damaged, or no safetensors: fetch it again)";

std::string quoted(const std::string& name) { return "tensor \"" + printable(name) + "\": "; }

/// Receives the header piece by piece. The format has one level of tensors and two kinds of lists,
/// so a place in it is one word, and anything else is refused where it begins.
class HeaderReader final : public nlohmann::json_sax<json> {
 public:
  HeaderReader(const std::filesystem::path& path, ExitCode code) : path_(path), code_(code) {}

  SafetensorsHeader take() { return std::move(header_); }

  bool start_object(std::size_t) override {
    if (at_ == Place::start) {
      at_ = Place::names;
    } else if (at_ == Place::names && is_metadata_) {
      at_ = Place::metadata;
    } else if (at_ == Place::names) {
      header_.tensors.emplace_back().name = key_;
      has_dtype_ = has_shape_ = has_offsets_ = false;
      at_ = Place::tensor;
    } else {
      wrong("an object");
    }
    return true;
  }

  bool end_object() override {
    if (at_ == Place::tensor && !(has_dtype_ && has_shape_ && has_offsets_)) {
      refuse("lacks \"dtype\", \"shape\" or \"data_offsets\"");
    }
    at_ = at_ == Place::names ? Place::end : Place::names;
    return true;
  }

  bool key(std::string& name) override {
    if (at_ == Place::names) {
      is_metadata_ = name == "__metadata__";
      if (is_metadata_ && std::exchange(has_metadata_, true)) refuse("has \"__metadata__\" twice");
      if (name.find('\0') != std::string::npos) refuse("has a tensor name with a NUL byte");
    } else if (at_ == Place::tensor) {
      bool* const seen = name == "dtype"          ? &has_dtype_
                         : name == "shape"        ? &has_shape_
                         : name == "data_offsets" ? &has_offsets_
                                                  : nullptr;
      if (seen == nullptr) refuse("has the unknown field \"" + printable(name) + "\"");
      if (std::exchange(*seen, true)) refuse("has \"" + name + "\" twice");
    } else if (header_.metadata.count(name) != 0) {
      refuse("\"__metadata__\" has the key \"" + printable(name) + "\" twice");
    }
    key_ = std::move(name);
    return true;
  }

  bool start_array(std::size_t) override {
    if (at_ != Place::tensor || key_ == "dtype") wrong("a list");
    at_ = key_ == "shape" ? Place::shape : Place::offsets;
    offsets_ = 0;
    return true;
  }

  bool end_array() override {
    if (at_ == Place::offsets && offsets_ != 2) refuse("\"data_offsets\" is not two numbers");
    at_ = Place::tensor;
    return true;
  }

  bool string(std::string& value) override {
    if (at_ == Place::metadata) {
      header_.metadata.emplace(key_, std::move(value));
      return true;
    }
    if (at_ != Place::tensor || key_ != "dtype") wrong("a string");
    const auto dtype = stored_dtype(value);
    if (!dtype) refuse("has the unknown dtype \"" + printable(value) + "\"");
    header_.tensors.back().dtype = *dtype;
    return true;
  }

  bool number_unsigned(std::uint64_t value) override {
    if (at_ == Place::shape) {
      auto& shape = header_.tensors.back().shape;
      if (shape.size() == kMaxRank) refuse("has more than 64 dimensions");
      if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
        refuse("has a dimension of " + std::to_string(value));
      }
      shape.push_back(static_cast<std::int64_t>(value));
    } else if (at_ == Place::offsets) {
      (offsets_ == 0 ? header_.tensors.back().begin : header_.tensors.back().end) = value;
      if (++offsets_ > 2) refuse("\"data_offsets\" is not two numbers");
    } else {
      wrong("a number");
    }
    return true;
  }

  bool number_integer(std::int64_t) override { wrong("a negative number"); }
  bool number_float(double, const std::string&) override { wrong("a fraction"); }
  bool null() override { wrong("null"); }
  bool boolean(bool) override { wrong("true or false"); }
  bool binary(json::binary_t&) override { wrong("bytes"); }

  bool parse_error(std::size_t, const std::string&, const json::exception& error) override {
    refuse_file(path_,
                "its header is no valid JSON: " + json_problem(error) + std::string(kDamaged),
                code_);
  }

 private:
  enum class Place { start, names, metadata, tensor, shape, offsets, end };

  [[noreturn]] void wrong(const std::string& what) const {
    if (at_ == Place::start || at_ == Place::end) refuse("is " + what + ", not an object");
    refuse("has " + what + " at the key \"" + printable(key_) + "\", where the format has none");
  }
  [[noreturn]] void refuse(const std::string& problem) const {
    const bool inside = at_ == Place::tensor || at_ == Place::shape || at_ == Place::offsets;
    refuse_file(path_,
                (inside ? quoted(header_.tensors.back().name) : "its header ") + problem +
                    std::string(kDamaged),
                code_);
  }

  const std::filesystem::path& path_;
  ExitCode code_;
  SafetensorsHeader header_;
  Place at_ = Place::start;
  std::string key_;
  int offsets_ = 0;
  bool is_metadata_ = false, has_metadata_ = false;
  bool has_dtype_ = false, has_shape_ = false, has_offsets_ = false;
};

}  // namespace

SafetensorsHeader parse_safetensors_header(std::string_view text, const std::filesystem::path& path,
                                           ExitCode code) {
  // The parser takes a NUL byte for the end of the text and would not see what follows.
  if (text.find('\0') != std::string_view::npos) {
    refuse_file(path, "its header has a NUL byte" + std::string(kDamaged), code);
  }
  HeaderReader reader(path, code);
  json::sax_parse(text, &reader);
  return reader.take();
}

std::optional<std::uint64_t> tensor_bytes(const std::vector<std::int64_t>& shape,
                                          StoredDType dtype) {
  std::uint64_t bits = 1;
  for (const std::int64_t size : shape) {
    if (__builtin_mul_overflow(bits, static_cast<std::uint64_t>(size), &bits)) return std::nullopt;
  }
  if (__builtin_mul_overflow(bits, std::uint64_t{bits_of(dtype)}, &bits)) return std::nullopt;
  if (bits % 8 != 0) return std::nullopt;
  return bits / 8;
}

std::uint64_t check_safetensors_tables(std::vector<TensorInfo>& tensors,
                                       const std::filesystem::path& path, ExitCode code) {
  const auto refuse = [&](const TensorInfo& tensor, const std::string& problem) {
    refuse_file(path, quoted(tensor.name) + problem + std::string(kDamaged), code);
  };
  // Data section: sorted by place, each tensor begins where the one before it ended.
  std::sort(tensors.begin(), tensors.end(), [](const TensorInfo& a, const TensorInfo& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  std::uint64_t at = 0;
  for (const TensorInfo& tensor : tensors) {
    const std::string place =
        "its data at [" + std::to_string(tensor.begin) + ", " + std::to_string(tensor.end) + ") ";
    if (tensor.end < tensor.begin) refuse(tensor, place + "end before they begin");
    if (tensor.begin < at) refuse(tensor, place + "overlap another tensor's");
    if (tensor.begin > at) refuse(tensor, place + "leave a hole before them");
    const auto bytes = tensor_bytes(tensor.shape, tensor.dtype);
    if (!bytes) refuse(tensor, "its shape and dtype give no size that can be");
    if (tensor.end - tensor.begin != *bytes) {
      refuse(tensor, place + "do not have the " + std::to_string(*bytes) +
                         " bytes that its shape and dtype give");
    }
    at = tensor.end;
  }
  std::sort(tensors.begin(), tensors.end(),
            [](const TensorInfo& a, const TensorInfo& b) { return a.name < b.name; });
  const auto twice =
      std::adjacent_find(tensors.begin(), tensors.end(),
                         [](const TensorInfo& a, const TensorInfo& b) { return a.name == b.name; });
  if (twice != tensors.end()) refuse(*twice, "is listed twice");
  return at;
}

}  // namespace diffuse
