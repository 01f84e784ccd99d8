#include <catch2/catch.hpp>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "kernels/cuda/cudnn_convolution.hpp"
#include "tests/cudnn_graphs/gpus.hpp"

// Every convolution of Stable Diffusion 1.5 has an engine of cuDNN on GPUs of three generations,
// which this machine need not have: cuDNN takes their properties as JSON.
namespace diffuse::test {
namespace {

// Side of the input at 512x512, channels in and out, kernel, stride.
struct Layer {
  int side, in, out, kernel = 3, stride = 1;
};
const Layer kUnet[] = {
    {64, 4, 320},           {64, 320, 320},       {64, 320, 320, 3, 2}, {32, 320, 640},
    {32, 640, 640},         {32, 640, 640, 3, 2}, {16, 640, 1280},      {16, 1280, 1280},
    {16, 1280, 1280, 3, 2}, {8, 1280, 1280},      {8, 2560, 1280},      {16, 2560, 1280},
    {16, 1920, 1280},       {32, 1920, 640},      {32, 1280, 640},      {32, 960, 640},
    {32, 1280, 1280},       {64, 960, 320},       {64, 640, 320},       {64, 640, 640},
    {64, 320, 4},           {32, 320, 640, 1},    {16, 640, 1280, 1},   {8, 2560, 1280, 1},
    {16, 2560, 1280, 1},    {16, 1920, 1280, 1},  {32, 1920, 640, 1},   {32, 1280, 640, 1},
    {32, 960, 640, 1},      {64, 960, 320, 1},    {64, 640, 320, 1},
};
const Layer kVae[] = {
    {64, 4, 4, 1},   {64, 4, 512},       {64, 512, 512},     {128, 512, 512}, {256, 512, 512},
    {256, 512, 256}, {256, 256, 256},    {512, 256, 256},    {512, 256, 128}, {512, 128, 128},
    {512, 128, 3},   {256, 512, 256, 1}, {512, 256, 128, 1},
};

ConvolutionShape shape_of(const Layer& layer, DType dtype, bool bias) {
  ConvolutionShape shape;
  shape.batch = 16;
  shape.height = shape.width = layer.side;
  shape.channels = layer.in;
  shape.out_channels = layer.out;
  shape.kernel_height = shape.kernel_width = layer.kernel;
  shape.stride = layer.stride;
  shape.pad_top = shape.pad_left = shape.pad_bottom = shape.pad_right = layer.kernel / 2;
  shape.dtype = dtype;
  shape.bias = bias;
  return shape;
}

struct Count {
  int graphs = 0, without_engine = 0, plans = 0, without_plan = 0;
};

// The engine chosen for the canonical batch must take the others too.
void check_layer(const Layer& layer, const std::vector<std::int64_t>& batches, DType dtype,
                 const Gpu& gpu, const cuda::CudnnTarget& target, Count& count) {
  for (const bool bias : {false, true}) {
    const ConvolutionShape shape = shape_of(layer, dtype, bias);
    INFO(gpu.name << " " << name_of(dtype) << (bias ? " with bias " : " ") << layer.in << " to "
                  << layer.out << " at " << layer.side << ", kernel " << layer.kernel << ", stride "
                  << layer.stride);
    const auto choice = cuda::choose_engine(shape, target);
    ++count.graphs;
    CHECK(choice.has_value());
    if (!choice) {
      ++count.without_engine;
      continue;
    }
    for (const std::int64_t batch : batches) {
      INFO("engine " << choice->engine << ", batch " << batch);
      ++count.plans;
      const bool built =
          cuda::build_plan(shape.with_batch(batch), *choice, target).plan.get() != nullptr;
      CHECK(built);
      count.without_plan += built ? 0 : 1;
    }
  }
}

}  // namespace

TEST_CASE("every convolution of SD 1.5 has a cuDNN engine that takes any batch") {
  Count count;
  for (const Gpu& gpu : kGpus) {
    const cuda::CudnnTarget target = cuda::target_from_json(json_of(gpu));
    for (const DType dtype : {DType::f16, DType::bf16, DType::f32}) {
      Count here;
      for (const Layer& layer : kUnet) check_layer(layer, {1, 2, 6, 32}, dtype, gpu, target, here);
      for (const Layer& layer : kVae) check_layer(layer, {1, 3}, dtype, gpu, target, here);
      std::cout << gpu.name << " " << name_of(dtype) << ": " << here.graphs << " graphs, "
                << here.without_engine << " without an engine; " << here.plans
                << " plans of other batches, " << here.without_plan << " refused\n";
      count.graphs += here.graphs;
      count.plans += here.plans;
    }
  }
  std::cout << "cudnn graphs checked without a device: " << count.graphs << " graphs, "
            << count.plans << " plans\n";
}

TEST_CASE("numbers of a table that name no engine, or no setting of it, make no plan") {
  const cuda::CudnnTarget target = cuda::target_from_json(json_of(kGpus[2]));
  const ConvolutionShape shape = shape_of(kUnet[1], DType::f16, true);
  const auto chosen = cuda::choose_engine(shape, target);
  REQUIRE(chosen);
  CHECK(cuda::build_plan(shape, *chosen, target).plan.get() != nullptr);
  constexpr std::int64_t kHuge = std::int64_t{1} << 40;
  for (const std::int64_t engine : {std::int64_t{-1}, std::int64_t{9999}, kHuge}) {
    CHECK(cuda::build_plan(shape, {engine, {}}, target).plan.get() == nullptr);
  }
  using Knob = std::pair<std::int64_t, std::int64_t>;
  for (const Knob& knob : {Knob{-5, 1}, Knob{9999, 1}, Knob{kHuge, 1}, Knob{2, kHuge}}) {
    EngineChoice other = *chosen;
    other.knobs.push_back(knob);
    INFO(knob.first << " " << knob.second);
    CHECK(cuda::build_plan(shape, other, target).plan.get() == nullptr);
  }
}

}  // namespace diffuse::test
