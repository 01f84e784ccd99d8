#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/tensor/ops.hpp"

namespace diffuse {

/// Where the weights of one component come from.
class WeightSource {
 public:
  virtual ~WeightSource() = default;
  /// The weight stored under its diffusers key, or nothing. `expected` is the shape that the model
  /// asks for; a source without data (see ShapeSource) answers with it.
  [[nodiscard]] virtual std::optional<StoredWeight> find(std::string_view name,
                                                         const Shape& expected) = 0;
  /// File or folder, for messages.
  [[nodiscard]] virtual std::string where() const = 0;
};

/// Answers every request with the expected shape and no data: for programs of shapes only.
class ShapeSource final : public WeightSource {
 public:
  ShapeSource() = default;
  /// In the types in which `stored` has its weights, where it has them; else in f32.
  explicit ShapeSource(WeightSource& stored) : stored_(&stored) {}

  [[nodiscard]] std::optional<StoredWeight> find(std::string_view name,
                                                 const Shape& expected) override;
  [[nodiscard]] std::string where() const override { return "shapes only"; }

 private:
  WeightSource* stored_ = nullptr;
};

/// Answers from another source and notes what is missing or has another shape, instead of failing
/// at the first: so a message can name all of it.
class CheckingSource final : public WeightSource {
 public:
  explicit CheckingSource(WeightSource& inner) : inner_(inner) {}
  [[nodiscard]] std::optional<StoredWeight> find(std::string_view name,
                                                 const Shape& expected) override;
  [[nodiscard]] std::string where() const override { return inner_.where(); }
  /// Throws InputError(bad_model) that names the first mistakes and the number of all.
  void throw_if_any() const;

 private:
  WeightSource& inner_;
  std::vector<std::string> problems_;
};

/// Reads the weights of a module: a source and the module's path in the checkpoint
/// ("down_blocks.0.resnets.1"). Throws InputError(bad_model) for a missing weight or one of another
/// shape, with both shapes in the text.
class WeightReader {
 public:
  WeightReader(WeightSource& source, Ops& ops) : source_(source), ops_(ops) {}

  /// The reader of a sub-module.
  [[nodiscard]] WeightReader sub(const std::string& name) const;
  [[nodiscard]] WeightReader sub(const std::string& name, std::size_t index) const {
    return sub(name + "." + std::to_string(index));
  }
  /// The same reader for layers whose input usually has this size: a hint for the layout of their
  /// weights.
  [[nodiscard]] WeightReader sized(std::int64_t height, std::int64_t width) const;
  /// The same, unless a size has been given already.
  [[nodiscard]] WeightReader sized_by_default(std::int64_t height, std::int64_t width) const;
  /// For layers `levels` levels down, or up where it is negative: each halves the sides, rounding
  /// up, or doubles them.
  [[nodiscard]] WeightReader lowered(int levels) const;
  [[nodiscard]] Ops& ops() const { return ops_; }

  /// The kernel [out, in] of one linear layer (or a 1x1 convolution [out, in, 1, 1], if `as_conv`),
  /// or of several stacked along `out` (fused query, key and value): `names` are modules below this
  /// one.
  [[nodiscard]] Weight linear(std::initializer_list<std::string_view> names, std::int64_t out,
                              std::int64_t in, bool as_conv = false) const;
  /// [out, in, kernel, kernel] of the convolution module `name`.
  [[nodiscard]] Weight conv(std::string_view name, std::int64_t out, std::int64_t in, int kernel,
                            int stride) const;
  /// [entries, width] of the embedding module `name`.
  [[nodiscard]] Weight embedding(std::string_view name, std::int64_t entries,
                                 std::int64_t width) const;
  /// f32 vectors of equal length `size` joined end to end; full names below this module
  /// ("norm.weight").
  [[nodiscard]] Tensor vector(std::initializer_list<std::string_view> names,
                              std::int64_t size) const;
  /// Their sum, element by element.
  [[nodiscard]] Tensor sum_of_vectors(std::initializer_list<std::string_view> names,
                                      std::int64_t size) const;

 private:
  [[nodiscard]] StoredWeight stored(const std::string& name, const Shape& expected) const;
  [[nodiscard]] std::vector<float> floats(std::string_view name, std::int64_t size) const;

  WeightSource& source_;
  Ops& ops_;
  std::string path_;
  std::int64_t height_ = 0, width_ = 0;  // usual size of the input, 0 = unknown
};

}  // namespace diffuse
