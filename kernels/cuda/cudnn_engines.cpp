// The handle attributes are marked deprecated from cuDNN 9.8 on; all of 9.x take them.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
#include "kernels/cuda/cudnn_engines.hpp"

#include <algorithm>
#include <optional>

#include "core/base/error.hpp"

namespace diffuse::cuda {
namespace {

// The values of an attribute that holds an enumeration or numbers.
template <class T>
std::vector<T> values_of(cudnnBackendDescriptor_t from, cudnnBackendAttributeName_t name,
                         cudnnBackendAttributeType_t type, std::int64_t most) {
  std::vector<T> values(static_cast<std::size_t>(most));
  std::int64_t count = 0;
  if (cudnnBackendGetAttribute(from, name, type, most, &count, values.data()) !=
      CUDNN_STATUS_SUCCESS) {
    count = 0;
  }
  values.resize(static_cast<std::size_t>(std::min(count, most)));
  return values;
}

// Descriptors come back through descriptors made for them.
std::vector<CudnnDescriptor> parts_of(cudnnBackendDescriptor_t from,
                                      cudnnBackendAttributeName_t name,
                                      cudnnBackendDescriptorType_t type) {
  std::int64_t count = 0;
  if (cudnnBackendGetAttribute(from, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, &count, nullptr) !=
      CUDNN_STATUS_SUCCESS) {
    return {};
  }
  std::vector<CudnnDescriptor> parts;
  std::vector<cudnnBackendDescriptor_t> raw;
  for (std::int64_t i = 0; i < count; ++i) {
    parts.emplace_back(type);
    raw.push_back(parts.back().get());
  }
  std::int64_t got = 0;
  if (count == 0 || cudnnBackendGetAttribute(from, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, count, &got,
                                             raw.data()) != CUDNN_STATUS_SUCCESS) {
    return {};
  }
  parts.resize(static_cast<std::size_t>(std::min(got, count)));
  return parts;
}

bool contains(const std::vector<cudnnBackendNumericalNote_t>& notes,
              cudnnBackendNumericalNote_t note) {
  return std::find(notes.begin(), notes.end(), note) != notes.end();
}

// Does this knob's value cut a sum into parts that several blocks take?
bool splits_sum(cudnnBackendKnobType_t type, std::int64_t value) {
  switch (type) {
    case CUDNN_KNOB_TYPE_SPLIT_K:
    case CUDNN_KNOB_TYPE_SPLIT_K_SLC:
    case CUDNN_KNOB_TYPE_SPLIT_RS:
      return value > 1;
    case CUDNN_KNOB_TYPE_STREAM_K:
      return value > 0;
    default:
      return false;
  }
}

struct Candidate {
  EngineChoice choice;
  bool usable = false, compiled_while_running = false;
};

Candidate candidate_of(const CudnnDescriptor& config, DType dtype, PlanRule rule) {
  Candidate candidate;
  const auto engines =
      parts_of(config.get(), CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_BACKEND_ENGINE_DESCRIPTOR);
  if (engines.empty()) return candidate;
  const cudnnBackendDescriptor_t engine = engines[0].get();
  const auto index =
      values_of<std::int64_t>(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1);
  if (index.empty()) return candidate;
  candidate.choice.engine = index[0];
  const auto notes = values_of<cudnnBackendNumericalNote_t>(
      engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
      CUDNN_NUMERICAL_NOTE_TYPE_COUNT);
  const auto behaviour = values_of<cudnnBackendBehaviorNote_t>(
      engine, CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE, CUDNN_TYPE_BEHAVIOR_NOTE,
      CUDNN_BEHAVIOR_NOTE_TYPE_COUNT);
  candidate.compiled_while_running =
      std::find(behaviour.begin(), behaviour.end(), CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION) !=
      behaviour.end();
  candidate.usable =
      !contains(notes, CUDNN_NUMERICAL_NOTE_WINOGRAD) &&
      !contains(notes, CUDNN_NUMERICAL_NOTE_FFT) &&
      !contains(notes, CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC) &&
      !(dtype == DType::f32 && (contains(notes, CUDNN_NUMERICAL_NOTE_TENSOR_CORE) ||
                                contains(notes, CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS)));
  for (const CudnnDescriptor& knob : parts_of(config.get(), CUDNN_ATTR_ENGINECFG_KNOB_CHOICES,
                                              CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR)) {
    const auto type = values_of<cudnnBackendKnobType_t>(
        knob.get(), CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, 1);
    const auto value =
        values_of<std::int64_t>(knob.get(), CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, CUDNN_TYPE_INT64, 1);
    if (type.empty() || value.empty()) continue;
    candidate.choice.knobs.emplace_back(static_cast<std::int64_t>(type[0]), value[0]);
    if (rule == PlanRule::strict && splits_sum(type[0], value[0])) candidate.usable = false;
  }
  return candidate;
}

std::vector<CudnnDescriptor> heuristic_list(const CudnnDescriptor& graph,
                                            cudnnBackendHeurMode_t mode,
                                            const CudnnTarget& target) {
  CudnnDescriptor heuristic(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
  heuristic.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
  heuristic.set(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, &mode);
  if (target.handle == nullptr) heuristic.set(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, target.properties);
  if (!heuristic.finalize()) return {};
  return parts_of(heuristic.get(), CUDNN_ATTR_ENGINEHEUR_RESULTS,
                  CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
}

}  // namespace

std::size_t proposed_engines(const CudnnDescriptor& graph, const CudnnTarget& target) {
  if (graph.get() == nullptr) return 0;
  return heuristic_list(graph, CUDNN_HEUR_MODE_A, target).size();
}

std::vector<EngineChoice> engine_candidates(const CudnnDescriptor& graph, DType dtype,
                                            PlanRule rule, std::size_t most,
                                            const CudnnTarget& target) {
  if (graph.get() == nullptr) return {};
  std::vector<EngineChoice> choices;
  std::optional<EngineChoice> compiled;
  for (const cudnnBackendHeurMode_t mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK}) {
    for (const CudnnDescriptor& config : heuristic_list(graph, mode, target)) {
      if (choices.size() >= most) return choices;
      const Candidate candidate = candidate_of(config, dtype, rule);
      if (!candidate.usable || (candidate.compiled_while_running && compiled)) continue;
      const bool known =
          std::find(choices.begin(), choices.end(), candidate.choice) != choices.end();
      // A heuristic's entry need not be buildable.
      if (known || build_plan(graph, candidate.choice, target).plan.get() == nullptr) continue;
      if (candidate.compiled_while_running) {
        compiled = candidate.choice;
      } else {
        choices.push_back(candidate.choice);
      }
    }
  }
  if (choices.empty() && compiled) choices.push_back(*compiled);
  return choices;
}

namespace {

CudnnPlan build(const CudnnDescriptor& graph, const EngineChoice& choice,
                const CudnnTarget& target) {
  CudnnDescriptor engine(CUDNN_BACKEND_ENGINE_DESCRIPTOR);
  engine.set(CUDNN_ATTR_ENGINE_OPERATION_GRAPH, graph);
  engine.set_int64(CUDNN_ATTR_ENGINE_GLOBAL_INDEX, choice.engine);
  if (target.handle == nullptr) engine.set(CUDNN_ATTR_ENGINE_DEVICEPROP, target.properties);
  if (!engine.finalize()) return {};

  std::vector<CudnnDescriptor> knobs;
  std::vector<cudnnBackendDescriptor_t> raw;
  for (const auto& [number, value] : choice.knobs) {
    const auto type = static_cast<cudnnBackendKnobType_t>(number);
    CudnnDescriptor knob(CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR);
    knob.set(CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, &type);
    knob.set_int64(CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, value);
    if (!knob.finalize()) return {};
    knobs.push_back(knob);
    raw.push_back(knob.get());
  }
  CudnnDescriptor config(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
  config.set(CUDNN_ATTR_ENGINECFG_ENGINE, engine);
  if (!raw.empty()) {
    config.set(CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_TYPE_BACKEND_DESCRIPTOR, raw.data(),
               static_cast<std::int64_t>(raw.size()));
  }
  if (!config.finalize()) return {};

  CudnnPlan built{CudnnDescriptor(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR), 0};
  if (target.handle != nullptr) {
    built.plan.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, &target.handle);
  } else {
    built.plan.set(CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, target.properties);
  }
  built.plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config);
  if (!built.plan.finalize()) return {};
  const auto bytes = values_of<std::int64_t>(
      built.plan.get(), CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1);
  built.workspace_bytes = bytes.empty() ? 0 : bytes[0];
  return built;
}

}  // namespace

CudnnPlan build_plan(const CudnnDescriptor& graph, const EngineChoice& choice,
                     const CudnnTarget& target) {
  if (graph.get() == nullptr) return {};
  try {
    return build(graph, choice, target);
  } catch (const DeviceError&) {
    // A table may hold any numbers: some are refused before anything is finalised.
    return {};
  }
}

}  // namespace diffuse::cuda
