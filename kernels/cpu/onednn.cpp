#include "kernels/cpu/onednn.hpp"

#include <algorithm>
#include <cstring>
#include <exception>
#include <map>
#include <mutex>
#include <oneapi/dnnl/dnnl.hpp>
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

struct ConvolutionKey {
  Convolution shape;
  int layout;
  friend auto operator<=>(const ConvolutionKey&, const ConvolutionKey&) = default;
};

struct Primitive {
  Convolution shape;
  convolution_forward::primitive_desc description;
  convolution_forward primitive;
  int layout = 0;  // of the weights that it takes
};

memory::dims dims_of(const Convolution& c) {
  return {c.out_channels, c.channels, c.kernel_height, c.kernel_width};
}

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

// oneDNN fixes a primitive's number of threads when it is made.
class SingleThreaded {
 public:
#ifdef _OPENMP
  SingleThreaded() : before_(omp_get_max_threads()) { omp_set_num_threads(1); }
  ~SingleThreaded() { omp_set_num_threads(before_); }

 private:
  int before_;
#else
  SingleThreaded() {}
#endif
  SingleThreaded(const SingleThreaded&) = delete;
  SingleThreaded& operator=(const SingleThreaded&) = delete;
};

// One primitive execution: a strip of a picture.
struct Tile {
  const Primitive* primitive = nullptr;
  std::shared_ptr<void> weights;
  std::int64_t first_input_row = 0;
  std::int64_t first_output_row = 0;
};

}  // namespace

struct OneDnn::State {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  std::vector<dnnl::stream> streams;  // one for each thread
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
  void reorder(const memory::desc& from_layout, const void* from, const memory::desc& to_layout,
               void* to);
  std::shared_ptr<void> weights_for(const ConvolutionWeight& weight, int layout);
  std::vector<Tile> tiles_of(const Convolution& c, const ConvolutionWeight& weight);
  void run_tile(const Tile& tile, const void* x, const float* bias, void* y, std::byte* scratchpad,
                const dnnl::stream& stream) const;
  void run(const Convolution& c, const ConvolutionWeight& weight, const std::byte* x,
           const float* bias, const std::byte* residual, std::byte* y, Scratch& scratch);
};

convolution_forward::primitive_desc OneDnn::State::describe(const Convolution& c,
                                                            const memory::desc& weights) {
  const memory::desc x({c.batch, c.channels, c.height, c.width}, data_type(c.dtype),
                       memory::format_tag::nhwc);
  const memory::desc y({c.batch, c.out_channels, c.out_height(), c.out_width()},
                       data_type(c.out_dtype), memory::format_tag::nhwc);
  const memory::desc bias =
      c.bias ? memory::desc({c.out_channels}, memory::data_type::f32, memory::format_tag::x)
             : memory::desc();

  dnnl::post_ops post_ops;
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
  const ConvolutionKey key{c, layout};
  const auto found = primitives.find(key);
  if (found != primitives.end()) return found->second;
  const SingleThreaded guard;

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
    // oneDNN 2.6 wants exactly one blocking of the output channels for each shape, and falls to the
    // reference kernel, a thousand times slower, for any other.
    const memory::desc any({c.out_channels, c.channels, c.kernel_height, c.kernel_width},
                           data_type(c.dtype), memory::format_tag::any);
    description = describe(c, any);
  }
  Primitive made{c, description, convolution_forward(description),
                 layout_of(description.weights_desc())};
  return primitives.emplace(key, std::move(made)).first->second;
}

void OneDnn::State::reorder(const memory::desc& from_layout, const void* from,
                            const memory::desc& to_layout, void* to) {
  memory source(from_layout, engine, const_cast<void*>(from));
  memory target(to_layout, engine, to);
  dnnl::reorder(source, target).execute(streams[0], source, target);
  streams[0].wait();
}

OneDnn::OneDnn(Isa isa, bool forced) {
  limit_onednn(isa, forced);
  state_ = std::make_unique<State>();
  state_->streams.emplace_back(state_->engine);
}

OneDnn::~OneDnn() = default;

std::shared_ptr<const ConvolutionWeight> OneDnn::prepare(const WeightInput& input,
                                                         const Convolution& usual) {
  const std::vector<Strip> strips = strips_of(usual);
  const Convolution& shape = strips[strips.size() / 2].shape;
  return translate_errors([&] {
    const memory::desc any(dims_of(shape), data_type(shape.dtype), memory::format_tag::any);
    const SingleThreaded guard;
    const memory::desc layout = state_->describe(shape, any).weights_desc();
    const WeightMemory::Block block = input.allocate(layout.get_size());
    if (block.fill) {
      const memory::desc plain(dims_of(shape), memory::data_type::f32, memory::format_tag::oihw);
      const std::vector<float> values = widened(
          input, usual.out_channels * usual.channels * usual.kernel_height * usual.kernel_width);
      state_->reorder(plain, values.data(), layout, block.data.get());
    }
    auto weight = std::make_shared<ConvolutionWeight>();
    weight->copies.push_back({state_->layout_of(layout), block.data});
    return weight;
  });
}

void OneDnn::run(const Convolution& convolution, const ConvolutionWeight& weight, const void* x,
                 const float* bias, const void* residual, void* y, Scratch& scratch) {
  translate_errors([&] {
    state_->run(convolution, weight, static_cast<const std::byte*>(x), bias,
                static_cast<const std::byte*>(residual), static_cast<std::byte*>(y), scratch);
  });
}

std::shared_ptr<void> OneDnn::State::weights_for(const ConvolutionWeight& weight, int layout) {
  for (const auto& copy : weight.copies) {
    if (copy.layout == layout) return copy.data;
  }
  const auto& first = weight.copies[0];
  const memory::desc& wanted = layouts[static_cast<std::size_t>(layout)];
  std::shared_ptr<void> data = allocate_aligned(wanted.get_size());
  reorder(layouts[static_cast<std::size_t>(first.layout)], first.data.get(), wanted, data.get());
  // The first other layout takes the place of the one that was guessed before any shape was known:
  // most weights meet one shape only, and are held once.
  if (!weight.guess_replaced) weight.copies.clear();
  weight.guess_replaced = true;
  weight.copies.push_back({layout, data});
  return data;
}

std::vector<Tile> OneDnn::State::tiles_of(const Convolution& c, const ConvolutionWeight& weight) {
  std::vector<Tile> tiles;
  for (const Strip& strip : strips_of(c)) {
    const Primitive& primitive = primitive_for(strip.shape, weight.copies[0].layout);
    tiles.push_back({&primitive, weights_for(weight, primitive.layout), strip.first_input_row,
                     strip.first_output_row});
  }
  return tiles;
}

void OneDnn::State::run_tile(const Tile& tile, const void* x, const float* bias, void* y,
                             std::byte* scratchpad, const dnnl::stream& stream) const {
  const auto& description = tile.primitive->description;
  std::unordered_map<int, memory> arguments{
      {DNNL_ARG_SRC, memory(description.src_desc(), engine, const_cast<void*>(x))},
      {DNNL_ARG_WEIGHTS, memory(description.weights_desc(), engine, tile.weights.get())},
      {DNNL_ARG_DST, memory(description.dst_desc(), engine, y)},
      {DNNL_ARG_SCRATCHPAD, memory(description.scratchpad_desc(), engine, scratchpad)}};
  if (bias != nullptr) {
    arguments.emplace(DNNL_ARG_BIAS,
                      memory(description.bias_desc(), engine, const_cast<float*>(bias)));
  }
  tile.primitive->primitive.execute(stream, arguments);
}

void OneDnn::State::run(const Convolution& c, const ConvolutionWeight& weight, const std::byte* x,
                        const float* bias, const std::byte* residual, std::byte* y,
                        Scratch& scratch) {
  const std::vector<Tile> tiles = tiles_of(c, weight);
  while (streams.size() < static_cast<std::size_t>(max_threads())) streams.emplace_back(engine);
  std::size_t pad_bytes = 0;  // oneDNN's own working memory, of each thread
  for (const Tile& tile : tiles) {
    const std::size_t bytes = tile.primitive->description.scratchpad_desc().get_size();
    pad_bytes = std::max(pad_bytes, (bytes + 63) / 64 * 64);
  }
  std::byte* base = scratch.reserve(static_cast<std::size_t>(max_threads()) * pad_bytes);

  const auto bytes_of = [](std::int64_t elements, DType dtype) {
    return static_cast<std::size_t>(elements) * size_of(dtype);
  };
  std::exception_ptr error;
  std::mutex error_mutex;
  const auto tile_count = static_cast<std::int64_t>(tiles.size());
  parallel_for(tile_count * c.batch, [&](std::int64_t item, int thread) {
    const Tile& tile = tiles[static_cast<std::size_t>(item / c.batch)];
    const std::int64_t n = item % c.batch;
    const std::int64_t in_row = n * c.height + tile.first_input_row;
    const std::int64_t out_row = n * c.out_height() + tile.first_output_row;
    const std::byte* from = x + bytes_of(in_row * c.width * c.channels, c.dtype);
    const std::size_t out_at = bytes_of(out_row * c.out_width() * c.out_channels, c.out_dtype);
    const std::int64_t pixels = tile.primitive->shape.out_height() * c.out_width();
    try {
      // oneDNN adds to what it finds: a tile of the residual, still in cache.
      if (residual != nullptr && residual != y) {
        std::memcpy(y + out_at, residual + out_at, bytes_of(pixels * c.out_channels, c.out_dtype));
      }
      run_tile(tile, from, bias, y + out_at, base + static_cast<std::size_t>(thread) * pad_bytes,
               streams[static_cast<std::size_t>(thread)]);
    } catch (...) {
      const std::lock_guard lock(error_mutex);
      error = std::current_exception();
    }
  });
  if (error) std::rethrow_exception(error);
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
