// The handle attributes are marked deprecated from cuDNN 9.8 on; all of 9.x take them.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
#include "kernels/cuda/cudnn_graph.hpp"

#include <algorithm>

#include "core/base/error.hpp"

namespace diffuse::cuda {
namespace {

constexpr std::int64_t kAlignment = 16;

cudnnDataType_t data_type_of(DType dtype) {
  if (dtype == DType::f16) return CUDNN_DATA_HALF;
  return dtype == DType::bf16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
}

void require(bool good, const char* what) {
  if (!good) throw DeviceError(std::string("cuDNN refused ") + what, ExitCode::bug);
}

// A tensor [N, C, H, W] as cuDNN names it, laid out N, H, W, C.
CudnnDescriptor make_tensor(CudnnUid uid, const std::vector<std::int64_t>& dims,
                            cudnnDataType_t type, bool is_virtual = false) {
  CudnnDescriptor tensor(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  tensor.set(CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, &type);
  tensor.set_int64s(CUDNN_ATTR_TENSOR_DIMENSIONS, dims);
  tensor.set_int64s(CUDNN_ATTR_TENSOR_STRIDES,
                    {dims[1] * dims[2] * dims[3], 1, dims[3] * dims[1], dims[1]});
  tensor.set_int64(CUDNN_ATTR_TENSOR_UNIQUE_ID, uid);
  tensor.set_int64(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, kAlignment);
  tensor.set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, &is_virtual);
  require(tensor.finalize(), "a tensor");
  return tensor;
}

CudnnDescriptor make_convolution(const ConvolutionShape& s, const CudnnDescriptor& x,
                                 const CudnnDescriptor& w, const CudnnDescriptor& y) {
  CudnnDescriptor convolution(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
  const cudnnDataType_t compute = CUDNN_DATA_FLOAT;
  const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
  convolution.set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, &compute);
  convolution.set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, &mode);
  convolution.set_int64(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, 2);
  convolution.set_int64s(CUDNN_ATTR_CONVOLUTION_DILATIONS, {1, 1});
  convolution.set_int64s(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, {s.stride, s.stride});
  convolution.set_int64s(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, {s.pad_top, s.pad_left});
  convolution.set_int64s(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, {s.pad_bottom, s.pad_right});
  require(convolution.finalize(), "a convolution");

  CudnnDescriptor op(CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR);
  const float alpha = 1, beta = 0;
  op.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, x);
  op.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, w);
  op.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, y);
  op.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, convolution);
  op.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_TYPE_FLOAT, &alpha);
  op.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, CUDNN_TYPE_FLOAT, &beta);
  require(op.finalize(), "a convolution of these shapes");
  return op;
}

CudnnDescriptor make_addition(const CudnnDescriptor& a, const CudnnDescriptor& b,
                              const CudnnDescriptor& y) {
  CudnnDescriptor addition(CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
  const cudnnPointwiseMode_t mode = CUDNN_POINTWISE_ADD;
  const cudnnDataType_t compute = CUDNN_DATA_FLOAT;
  addition.set(CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, &mode);
  addition.set(CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, &compute);
  require(addition.finalize(), "an addition");
  CudnnDescriptor op(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
  op.set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, addition);
  op.set(CUDNN_ATTR_OPERATION_POINTWISE_XDESC, a);
  op.set(CUDNN_ATTR_OPERATION_POINTWISE_BDESC, b);
  op.set(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
  require(op.finalize(), "an addition of these shapes");
  return op;
}

CudnnDescriptor make_graph(const ConvolutionShape& s, const CudnnTarget& target) {
  const cudnnDataType_t type = data_type_of(s.dtype);
  const std::int64_t out_height =
      (s.height + s.pad_top + s.pad_bottom - s.kernel_height) / s.stride + 1;
  const std::int64_t out_width =
      (s.width + s.pad_left + s.pad_right - s.kernel_width) / s.stride + 1;
  const std::vector<std::int64_t> out{s.batch, s.out_channels, out_height, out_width};
  const auto x = make_tensor(kUidX, {s.batch, s.channels, s.height, s.width}, type);
  const auto w =
      make_tensor(kUidWeight, {s.out_channels, s.channels, s.kernel_height, s.kernel_width}, type);
  const auto y = make_tensor(kUidY, out, type);
  std::vector<cudnnBackendDescriptor_t> ops;
  std::vector<CudnnDescriptor> keep;
  if (s.bias) {
    const auto sum = make_tensor(kUidSum, out, CUDNN_DATA_FLOAT, true);
    const auto bias = make_tensor(kUidBias, {1, s.out_channels, 1, 1}, type);
    keep = {make_convolution(s, x, w, sum), make_addition(sum, bias, y)};
  } else {
    keep = {make_convolution(s, x, w, y)};
  }
  for (const CudnnDescriptor& op : keep) ops.push_back(op.get());
  CudnnDescriptor graph(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
  graph.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, ops.data(),
            static_cast<std::int64_t>(ops.size()));
  if (target.handle != nullptr) {
    graph.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, &target.handle);
  }
  require(graph.finalize(), "a graph");
  return graph;
}

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

Candidate candidate_of(const CudnnDescriptor& config, DType dtype) {
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
    candidate.choice.knobs.emplace_back(type[0], value[0]);
    if (splits_sum(type[0], value[0])) candidate.usable = false;
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

CudnnDescriptor::CudnnDescriptor(cudnnBackendDescriptorType_t type) {
  cudnnBackendDescriptor_t descriptor = nullptr;
  if (cudnnBackendCreateDescriptor(type, &descriptor) != CUDNN_STATUS_SUCCESS) {
    throw DeviceError("cuDNN could not make a descriptor; is another cuDNN than 9 installed?");
  }
  descriptor_ = std::shared_ptr<void>(
      descriptor, [](void* d) { static_cast<void>(cudnnBackendDestroyDescriptor(d)); });
}

void CudnnDescriptor::set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                          const void* values, std::int64_t count) {
  const cudnnStatus_t status = cudnnBackendSetAttribute(get(), name, type, count, values);
  if (status != CUDNN_STATUS_SUCCESS) {
    throw DeviceError("cuDNN refused attribute " + std::to_string(static_cast<int>(name)) + ": " +
                          cudnnGetErrorString(status),
                      ExitCode::bug);
  }
}

void CudnnDescriptor::set(cudnnBackendAttributeName_t name, const CudnnDescriptor& part) {
  const cudnnBackendDescriptor_t raw = part.get();
  set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, &raw);
}

void CudnnDescriptor::set_int64(cudnnBackendAttributeName_t name, std::int64_t value) {
  set(name, CUDNN_TYPE_INT64, &value);
}

void CudnnDescriptor::set_int64s(cudnnBackendAttributeName_t name,
                                 const std::vector<std::int64_t>& values) {
  set(name, CUDNN_TYPE_INT64, values.data(), static_cast<std::int64_t>(values.size()));
}

bool CudnnDescriptor::finalize() { return cudnnBackendFinalize(get()) == CUDNN_STATUS_SUCCESS; }

ConvolutionShape ConvolutionShape::with_batch(std::int64_t other) const {
  ConvolutionShape shape = *this;
  shape.batch = other;
  return shape;
}

CudnnTarget target_from_json(const std::string& json) {
  CudnnTarget target{nullptr, CudnnDescriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR)};
  target.properties.set(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, json.data(),
                        static_cast<std::int64_t>(json.size()));
  require(target.properties.finalize(), "the description of a GPU");
  return target;
}

std::optional<EngineChoice> choose_engine(const ConvolutionShape& shape,
                                          const CudnnTarget& target) {
  const CudnnDescriptor graph = make_graph(shape, target);
  std::optional<EngineChoice> second_best;
  for (const cudnnBackendHeurMode_t mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK}) {
    for (const CudnnDescriptor& config : heuristic_list(graph, mode, target)) {
      const Candidate candidate = candidate_of(config, shape.dtype);
      if (!candidate.usable || (candidate.compiled_while_running && second_best)) continue;
      // A heuristic's entry need not be buildable.
      if (build_plan(shape, candidate.choice, target).plan.get() == nullptr) continue;
      if (!candidate.compiled_while_running) return candidate.choice;
      second_best = candidate.choice;
    }
  }
  return second_best;
}

ConvolutionPlan build_plan(const ConvolutionShape& shape, const EngineChoice& choice,
                           const CudnnTarget& target) {
  CudnnDescriptor engine(CUDNN_BACKEND_ENGINE_DESCRIPTOR);
  engine.set(CUDNN_ATTR_ENGINE_OPERATION_GRAPH, make_graph(shape, target));
  engine.set_int64(CUDNN_ATTR_ENGINE_GLOBAL_INDEX, choice.engine);
  if (target.handle == nullptr) engine.set(CUDNN_ATTR_ENGINE_DEVICEPROP, target.properties);
  if (!engine.finalize()) return {};

  std::vector<CudnnDescriptor> knobs;
  std::vector<cudnnBackendDescriptor_t> raw;
  for (const auto& [type, value] : choice.knobs) {
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

  ConvolutionPlan built{CudnnDescriptor(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR), 0};
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

}  // namespace diffuse::cuda
