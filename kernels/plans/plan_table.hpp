#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "kernels/plans/plan_shapes.hpp"

namespace diffuse {

/// What plans were made on.
struct PlanMachine {
  std::string gpu;              ///< "NVIDIA H200"
  std::int64_t capability = 0;  ///< 90
  std::string driver;           ///< "13.0"
  std::string cudnn, cublaslt;  ///< "9.19.0"

  /// The same choices give the same bytes there: all but the driver, which only decides speed.
  [[nodiscard]] bool fits(const PlanMachine& other) const;
  /// "NVIDIA H200 sm_90 cudnn 9.19.0 cublaslt 13.1.0 driver 13.0".
  [[nodiscard]] std::string text() const;
  friend bool operator==(const PlanMachine&, const PlanMachine&) = default;
};

/// A kernel of cuDNN and how it is set: number of the engine, knobs by type.
struct EngineChoice {
  std::int64_t engine = 0;
  std::vector<std::pair<std::int64_t, std::int64_t>> knobs;
  friend bool operator==(const EngineChoice&, const EngineChoice&) = default;
};

/// cuBLASLt's own description of an algorithm (cublasLtMatmulAlgo_t), good for one version. It only
/// tells which of the library's proposals is meant, and is never handed to it.
using AlgorithmChoice = std::array<std::uint8_t, 64>;

/// Attention by a kernel of our own that is not the default one.
enum class OwnAttention : unsigned char { wgmma };

/// Who runs attention.
using AttentionChoice = std::variant<OwnAttention, EngineChoice>;

/// Which kernel runs each shape on one machine; an empty choice stands for our own default one.
struct PlanTable {
  PlanMachine machine;
  std::string tuned;  ///< id() of the table that measured choices came from; empty: none did
  std::map<ConvolutionShape, std::optional<EngineChoice>> convolutions;
  std::map<LinearShape, std::optional<AlgorithmChoice>> linears;
  std::map<AttentionShape, std::optional<AttentionChoice>> attentions;

  [[nodiscard]] std::size_t size() const {
    return convolutions.size() + linears.size() + attentions.size();
  }
  /// Eight hexadecimal digits of machine (but the driver) and choices.
  [[nodiscard]] std::string id() const;
  /// Takes over what `other` has and this has not.
  void add(const PlanTable& other);
  /// A shape that both have with different choices.
  [[nodiscard]] bool contradicts(const PlanTable& other) const;

  friend bool operator==(const PlanTable&, const PlanTable&) = default;
};

/// The table as JSON, the same text for the same table.
std::string plan_table_text(const PlanTable& table);

/// Reads that JSON; `path` is for messages. Throws InputError(bad_model) with one line that says
/// what is wrong: no table of this version, numbers out of range, too many entries, a shape twice.
PlanTable parse_plan_table(std::string_view text, const std::filesystem::path& path);

}  // namespace diffuse
