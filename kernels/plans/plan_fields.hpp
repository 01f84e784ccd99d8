#pragma once

#include <nlohmann/json.hpp>

#include "kernels/plans/plan_table.hpp"

namespace diffuse {

// Shapes and choices of a plan table as JSON. Readers throw json::exception or
// std::invalid_argument.

/// A whole number from 0 to `most`.
std::int64_t number_from(const nlohmann::json& object, const char* key, std::int64_t most);

nlohmann::json entries_json(const std::map<ConvolutionShape, std::optional<EngineChoice>>& map);
nlohmann::json entries_json(const std::map<LinearShape, std::optional<AlgorithmChoice>>& map);
nlohmann::json entries_json(const std::map<AttentionShape, std::optional<AttentionChoice>>& map);

void read_entries(const nlohmann::json& list,
                  std::map<ConvolutionShape, std::optional<EngineChoice>>& map);
void read_entries(const nlohmann::json& list,
                  std::map<LinearShape, std::optional<AlgorithmChoice>>& map);
void read_entries(const nlohmann::json& list,
                  std::map<AttentionShape, std::optional<AttentionChoice>>& map);

}  // namespace diffuse
