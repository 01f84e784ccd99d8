#include "kernels/cpu/onednn.hpp"

#include <map>
#include <oneapi/dnnl/dnnl.hpp>
#include <optional>
#include <unordered_map>
#include <utility>

#include "core/base/error.hpp"
#include "kernels/cpu/parallel.hpp"

namespace diffuse::cpu {
namespace {

using dnnl::convolution_forward;
using dnnl::memory;

memory::data_type data_type(DType dtype) {
  return dtype == DType::bf16 ? memory::data_type::bf16 : memory::data_type::f32;
}

dnnl::cpu_isa limit_of(Isa isa) {
  switch (isa) {
    case Isa::sse:
      return dnnl::cpu_isa::sse41;
    case Isa::avx2:
      return dnnl::cpu_isa::avx2;
    case Isa::avx512:
      return dnnl::cpu_isa::avx512_core;
    case Isa::avx512_bf16:
      return dnnl::cpu_isa::avx512_core_bf16;
  }
  return dnnl::cpu_isa::all;
}

const char* name_of(dnnl::cpu_isa isa) {
  switch (isa) {
    case dnnl::cpu_isa::sse41:
      return "sse41";
    case dnnl::cpu_isa::avx:
      return "avx";
    case dnnl::cpu_isa::avx2:
      return "avx2";
    case dnnl::cpu_isa::avx512_core:
      return "avx512_core";
    case dnnl::cpu_isa::avx512_core_vnni:
      return "avx512_core_vnni";
    case dnnl::cpu_isa::avx512_core_bf16:
      return "avx512_core_bf16";
    case dnnl::cpu_isa::avx512_core_amx:
      return "avx512_core_amx";
    default:
      return "other";
  }
}

// The limit is the process's, and oneDNN takes it once.
void limit_isa(Isa isa, bool forced) {
  static std::optional<Isa> chosen;
  const Isa wanted = forced ? isa : best_isa();
  if (!chosen) {
    if (forced && dnnl::set_max_cpu_isa(limit_of(isa)) != dnnl::status::success) {
      throw ConfigError("oneDNN does not accept a limit to the instruction set " +
                        std::string(name_of(isa)) + ": it is in use already");
    }
    chosen = wanted;
  }
  if (*chosen != wanted) {
    throw ConfigError("instruction set " + std::string(name_of(wanted)) +
                      " is asked for, but this process uses " + std::string(name_of(*chosen)) +
                      " and cannot change it");
  }
}

struct ConvolutionKey {
  Convolution shape;
  int layout;
  int threads;
  friend auto operator<=>(const ConvolutionKey&, const ConvolutionKey&) = default;
};

struct Primitive {
  convolution_forward::primitive_desc description;
  convolution_forward primitive;
  int layout = 0;  // of the weights that it takes
};

// Calls `body`; an error of oneDNN becomes one of ours.
template <class Body>
auto translate_errors(const Body& body) {
  try {
    return body();
  } catch (const dnnl::error& error) {
    throw DeviceError(std::string("oneDNN: ") + error.what() +
                      (error.status == dnnl_out_of_memory ? " (out of memory)" : ""));
  }
}

bool is_reference(const convolution_forward::primitive_desc& description) {
  return std::string(description.impl_info_str()).starts_with("ref");
}

}  // namespace

struct OneDnn::State {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  std::vector<memory::desc> layouts;
  std::map<ConvolutionKey, Primitive> primitives;

  int layout_of(const memory::desc& description) {
    for (std::size_t i = 0; i < layouts.size(); ++i) {
      if (layouts[i] == description) return static_cast<int>(i);
    }
    layouts.push_back(description);
    return static_cast<int>(layouts.size()) - 1;
  }

  // `weights`: a fixed layout, or any.
  convolution_forward::primitive_desc describe(const Convolution& c, const memory::desc& weights);
  const Primitive& primitive_for(const Convolution& c, int layout);
  std::shared_ptr<void> reorder(const memory::desc& from_layout, const void* from,
                                const memory::desc& to_layout);
  void run(const Convolution& convolution, const ConvolutionWeight& weight, const void* x,
           const float* bias, void* y, Scratch& scratch);
};

convolution_forward::primitive_desc OneDnn::State::describe(const Convolution& c,
                                                            const memory::desc& weights) {
  const std::int64_t out_height =
      (c.height + c.pad_top + c.pad_bottom - c.kernel_height) / c.stride + 1;
  const std::int64_t out_width =
      (c.width + c.pad_left + c.pad_right - c.kernel_width) / c.stride + 1;
  const memory::desc x({c.batch, c.channels, c.height, c.width}, data_type(c.dtype),
                       memory::format_tag::nhwc);
  const memory::desc y({c.batch, c.out_channels, out_height, out_width}, data_type(c.out_dtype),
                       memory::format_tag::nhwc);
  const memory::desc bias =
      c.bias ? memory::desc({c.out_channels}, memory::data_type::f32, memory::format_tag::x)
             : memory::desc();

  dnnl::post_ops post_ops;
  if (c.activation == Activation::silu) {
    post_ops.append_eltwise(1.0F, dnnl::algorithm::eltwise_swish, 1.0F, 0.0F);
  } else if (c.activation == Activation::quick_gelu) {
    post_ops.append_eltwise(1.0F, dnnl::algorithm::eltwise_swish, 1.702F, 0.0F);
  } else if (c.activation == Activation::gelu) {
    post_ops.append_eltwise(1.0F, dnnl::algorithm::eltwise_gelu_erf, 0.0F, 0.0F);
  }
  if (c.accumulate) post_ops.append_sum(1.0F);
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  attributes.set_post_ops(post_ops);

  const memory::dims strides{c.stride, c.stride};
  const memory::dims pad_before{c.pad_top, c.pad_left};
  const memory::dims pad_after{c.pad_bottom, c.pad_right};
#if DNNL_VERSION_MAJOR >= 3
  return {engine,
          dnnl::prop_kind::forward_inference,
          dnnl::algorithm::convolution_direct,
          x,
          weights,
          bias,
          y,
          strides,
          pad_before,
          pad_after,
          attributes};
#else
  const convolution_forward::desc operation(dnnl::prop_kind::forward_inference,
                                            dnnl::algorithm::convolution_direct, x, weights, bias,
                                            y, strides, pad_before, pad_after);
  return {operation, attributes, engine};
#endif
}

const Primitive& OneDnn::State::primitive_for(const Convolution& c, int layout) {
  const ConvolutionKey key{c, layout, max_threads()};
  const auto found = primitives.find(key);
  if (found != primitives.end()) return found->second;

  convolution_forward::primitive_desc description;
  bool fits = true;
  try {
    description = describe(c, layouts[static_cast<std::size_t>(layout)]);
    fits = !is_reference(description);
  } catch (const dnnl::error& error) {
    if (error.status != dnnl_unimplemented) throw;
    fits = false;
  }
  if (!fits) {
    // oneDNN 2.6 wants exactly one blocking of the output channels for each shape and number of
    // threads, and falls to the reference kernel, a thousand times slower, for any other.
    const memory::desc any({c.out_channels, c.channels, c.kernel_height, c.kernel_width},
                           data_type(c.dtype), memory::format_tag::any);
    description = describe(c, any);
  }
  Primitive made{description, convolution_forward(description),
                 layout_of(description.weights_desc())};
  return primitives.emplace(key, std::move(made)).first->second;
}

std::shared_ptr<void> OneDnn::State::reorder(const memory::desc& from_layout, const void* from,
                                             const memory::desc& to_layout) {
  std::shared_ptr<void> to = allocate_aligned(to_layout.get_size());
  memory source(from_layout, engine, const_cast<void*>(from));
  memory target(to_layout, engine, to.get());
  dnnl::reorder(source, target).execute(stream, source, target);
  stream.wait();
  return to;
}

OneDnn::OneDnn(Isa isa, bool forced) {
  limit_isa(isa, forced);
  state_ = std::make_unique<State>();
}

OneDnn::~OneDnn() = default;

std::string OneDnn::version() {
  const dnnl::version_t* version = dnnl::version();
  return "onednn " + std::to_string(version->major) + "." + std::to_string(version->minor) + "." +
         std::to_string(version->patch) + " " + name_of(dnnl::get_effective_cpu_isa());
}

std::shared_ptr<const PreparedWeight> OneDnn::prepare(const float* values,
                                                      const Convolution& usual) {
  Convolution shape = usual;
  shape.out_dtype = shape.dtype;
  const memory::dims dims{shape.out_channels, shape.channels, shape.kernel_height,
                          shape.kernel_width};
  const memory::desc any(dims, data_type(shape.dtype), memory::format_tag::any);
  const memory::desc plain(dims, memory::data_type::f32, memory::format_tag::oihw);
  return translate_errors([&] {
    const memory::desc wanted = state_->describe(shape, any).weights_desc();
    auto weight = std::make_shared<ConvolutionWeight>();
    weight->copies.push_back({state_->layout_of(wanted), state_->reorder(plain, values, wanted)});
    return weight;
  });
}

void OneDnn::run(const Convolution& convolution, const ConvolutionWeight& weight, const void* x,
                 const float* bias, void* y, Scratch& scratch) {
  translate_errors([&] { state_->run(convolution, weight, x, bias, y, scratch); });
}

void OneDnn::State::run(const Convolution& convolution, const ConvolutionWeight& weight,
                        const void* x, const float* bias, void* y, Scratch& scratch) {
  const Primitive& primitive = primitive_for(convolution, weight.copies[0].layout);
  const ConvolutionWeight::Copy* copy = nullptr;
  for (const auto& candidate : weight.copies) {
    if (candidate.layout == primitive.layout) copy = &candidate;
  }
  if (copy == nullptr) {
    const auto& first = weight.copies[0];
    weight.copies.push_back(
        {primitive.layout,
         reorder(layouts[static_cast<std::size_t>(first.layout)], first.data.get(),
                 layouts[static_cast<std::size_t>(primitive.layout)])});
    copy = &weight.copies.back();
  }

  const auto& description = primitive.description;
  const memory::desc pad = description.scratchpad_desc();
  std::unordered_map<int, memory> arguments{
      {DNNL_ARG_SRC, memory(description.src_desc(), engine, const_cast<void*>(x))},
      {DNNL_ARG_WEIGHTS, memory(description.weights_desc(), engine, copy->data.get())},
      {DNNL_ARG_DST, memory(description.dst_desc(), engine, y)},
      {DNNL_ARG_SCRATCHPAD, memory(pad, engine, scratch.reserve(pad.get_size()))}};
  if (convolution.bias) {
    arguments.emplace(DNNL_ARG_BIAS,
                      memory(description.bias_desc(), engine, const_cast<float*>(bias)));
  }
  primitive.primitive.execute(stream, arguments);
  stream.wait();
}

std::vector<std::string> OneDnn::implementations() const {
  std::vector<std::string> names;
  for (const auto& [key, primitive] : state_->primitives) {
    const Convolution& c = key.shape;
    names.push_back(std::string(primitive.description.impl_info_str()) + " " +
                    std::to_string(c.channels) + "->" + std::to_string(c.out_channels) + " " +
                    std::to_string(c.kernel_height) + "x" + std::to_string(c.kernel_width) +
                    " on " + std::to_string(c.batch) + "x" + std::to_string(c.height) + "x" +
                    std::to_string(c.width));
  }
  return names;
}

}  // namespace diffuse::cpu
