#include "core/nn/weight_reader.hpp"

#include <bit>
#include <cmath>
#include <cstring>

#include "core/base/error.hpp"
#include "core/base/half.hpp"

namespace diffuse {
namespace {

constexpr std::size_t kNamedProblems = 5;

std::string join(const std::string& path, std::string_view name) {
  if (path.empty() || name.empty()) return path + std::string(name);
  return path + "." + std::string(name);
}

std::string wrong_shape(const std::string& name, const Shape& stored, const Shape& expected) {
  return "\"" + name + "\" has shape " + stored.str() + " but the config asks for " +
         expected.str();
}

}  // namespace

std::optional<StoredWeight> ShapeSource::find(std::string_view name, const Shape& expected) {
  // Never dereferenced: a shape-only backend looks at shapes and types alone.
  static const std::byte nothing{};
  DType dtype = DType::f32;
  if (stored_ != nullptr) {
    if (const auto found = stored_->find(name, expected)) dtype = found->dtype;
  }
  const auto bytes = static_cast<std::size_t>(expected.elements()) * size_of(dtype);
  return StoredWeight{{&nothing, bytes}, dtype, expected};
}

std::optional<StoredWeight> CheckingSource::find(std::string_view name, const Shape& expected) {
  const auto found = inner_.find(name, expected);
  if (!found) {
    problems_.push_back("\"" + std::string(name) + "\" " + expected.str() + " is missing");
  } else if (!(found->shape == expected)) {
    problems_.push_back(wrong_shape(std::string(name), found->shape, expected));
  } else {
    return found;
  }
  return ShapeSource().find(name, expected);
}

void CheckingSource::throw_if_any() const {
  if (problems_.empty()) return;
  std::string message = where() + ": ";
  for (std::size_t i = 0; i < problems_.size() && i < kNamedProblems; ++i) {
    message += (i == 0 ? "" : "; ") + problems_[i];
  }
  if (problems_.size() > kNamedProblems) {
    message += "; and " + std::to_string(problems_.size() - kNamedProblems) + " more";
  }
  throw InputError(ExitCode::bad_model,
                   message + " (weights and config do not belong together: check the download)");
}

WeightReader WeightReader::sub(const std::string& name) const {
  WeightReader out = *this;
  out.path_ = join(path_, name);
  return out;
}

WeightReader WeightReader::sized(std::int64_t height, std::int64_t width) const {
  WeightReader out = *this;
  out.height_ = height;
  out.width_ = width;
  return out;
}

WeightReader WeightReader::sized_by_default(std::int64_t height, std::int64_t width) const {
  return height_ > 0 && width_ > 0 ? *this : sized(height, width);
}

WeightReader WeightReader::lowered(int levels) const {
  std::int64_t height = height_, width = width_;
  for (; levels > 0; --levels) {
    height = (height + 1) / 2;
    width = (width + 1) / 2;
  }
  for (; levels < 0; ++levels) {
    height *= 2;
    width *= 2;
  }
  return sized(height, width);
}

StoredWeight WeightReader::stored(const std::string& name, const Shape& expected) const {
  auto found = source_.find(name, expected);
  if (!found) {
    throw InputError(ExitCode::bad_model,
                     source_.where() + ": \"" + name + "\" " + expected.str() + " is missing");
  }
  if (!(found->shape == expected)) {
    throw InputError(ExitCode::bad_model,
                     source_.where() + ": " + wrong_shape(name, found->shape, expected));
  }
  return *found;
}

Weight WeightReader::linear(std::initializer_list<std::string_view> names, std::int64_t out,
                            std::int64_t in, bool as_conv) const {
  std::vector<StoredWeight> parts;
  std::string all;
  for (const std::string_view name : names) {
    const std::string key = join(join(path_, name), "weight");
    parts.push_back(stored(key, as_conv ? Shape{out, in, 1, 1} : Shape{out, in}));
    parts.back().shape = Shape{out, in};
    all += (all.empty() ? "" : ", ") + key;
  }
  try {
    return ops_.prepare(
        parts,
        {.role = WeightRole::linear, .dtype = ops_.dtype(), .height = height_, .width = width_});
  } catch (const InputError& error) {
    throw InputError(error.code(), source_.where() + ": \"" + all + "\": " + error.what());
  }
}

Weight WeightReader::conv(std::string_view name, std::int64_t out, std::int64_t in, int kernel,
                          int stride) const {
  const std::string key = join(join(path_, name), "weight");
  const StoredWeight part = stored(key, {out, in, kernel, kernel});
  try {
    return ops_.prepare({&part, 1}, {.role = WeightRole::conv_kernel,
                                     .dtype = ops_.dtype(),
                                     .stride = stride,
                                     .height = height_,
                                     .width = width_});
  } catch (const InputError& error) {
    throw InputError(error.code(), source_.where() + ": \"" + key + "\": " + error.what());
  }
}

Weight WeightReader::embedding(std::string_view name, std::int64_t entries,
                               std::int64_t width) const {
  const std::string key = join(join(path_, name), "weight");
  const StoredWeight part = stored(key, {entries, width});
  try {
    return ops_.prepare({&part, 1}, {.role = WeightRole::embedding, .dtype = ops_.dtype()});
  } catch (const InputError& error) {
    throw InputError(error.code(), source_.where() + ": \"" + key + "\": " + error.what());
  }
}

std::vector<float> WeightReader::floats(std::string_view name, std::int64_t size) const {
  const std::string key = join(path_, name);
  const StoredWeight part = stored(key, {size});
  std::vector<float> values(static_cast<std::size_t>(size));
  if (part.bytes.data() == ShapeSource().find("", {size})->bytes.data()) return values;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (part.dtype == DType::f32) {
      std::memcpy(&values[i], part.bytes.data() + 4 * i, 4);
    } else {
      std::uint16_t bits = 0;
      std::memcpy(&bits, part.bytes.data() + 2 * i, 2);
      values[i] = part.dtype == DType::bf16 ? float_from_bf16(bits) : float_from_f16(bits);
    }
    if (!std::isfinite(values[i])) {
      throw InputError(ExitCode::bad_model, source_.where() + ": \"" + key +
                                                "\": non-finite value at element " +
                                                std::to_string(i) + " (the file is damaged)");
    }
  }
  return values;
}

Tensor WeightReader::vector(std::initializer_list<std::string_view> names,
                            std::int64_t size) const {
  std::vector<float> joined;
  for (const std::string_view name : names) {
    const std::vector<float> part = floats(name, size);
    joined.insert(joined.end(), part.begin(), part.end());
  }
  return ops_.upload(joined, {static_cast<std::int64_t>(joined.size())});
}

Tensor WeightReader::sum_of_vectors(std::initializer_list<std::string_view> names,
                                    std::int64_t size) const {
  std::vector<float> sum(static_cast<std::size_t>(size), 0.0F);
  for (const std::string_view name : names) {
    const std::vector<float> part = floats(name, size);
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += part[i];
  }
  return ops_.upload(sum, {size});
}

}  // namespace diffuse
