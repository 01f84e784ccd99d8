#include <dlfcn.h>

#include <catch2/catch.hpp>
#include <iostream>

#include "kernels/cuda/cudnn_attention.hpp"
#include "tests/cudnn_graphs/gpus.hpp"

// Attention of SD 1.5 and 2.1 as cuDNN's one operation, on rows where the models have them.
namespace diffuse::test {
namespace {

// Queries, keys, heads, head_dim at 512x512: SD 1.5's four levels, then SD 2.1's.
struct Attention {
  std::int64_t queries, heads, head_dim;
};
const Attention kAttentions[] = {{4096, 8, 40}, {1024, 8, 80},  {256, 8, 160}, {64, 8, 160},
                                 {4096, 5, 64}, {1024, 10, 64}, {256, 20, 64}, {64, 20, 64}};

// Packed as the models pack: query, key and value of one product, or key and value of another's.
AttentionShape shape_of(const Attention& a, bool self, DType dtype) {
  AttentionShape shape;
  shape.batch = 16;
  shape.heads = a.heads;
  shape.head_dim = a.head_dim;
  shape.queries = a.queries;
  shape.keys = self ? a.queries : 77;
  const std::int64_t width = a.heads * a.head_dim;
  shape.q_stride = self ? 3 * width : width;
  shape.k_stride = shape.v_stride = self ? 3 * width : 2 * width;
  shape.y_stride = width;
  shape.dtype = dtype;
  return shape;
}

}  // namespace

TEST_CASE("cuDNN proposes engines for attention where it is asked, and is not asked elsewhere") {
  // Its engines are compiled while running, for which it opens the driver's library, or a stub.
  const bool asked = dlopen("libcuda.so.1", RTLD_LAZY) != nullptr;
  if (!asked) {
    std::cout << "not run: cuDNN's engines for attention: no libcuda.so.1, and no stub of it\n";
  }
  int graphs = 0, engines = 0;
  for (const Gpu& gpu : kGpus) {
    const cuda::CudnnTarget target = cuda::target_from_json(json_of(gpu));
    int of_gpu = 0, without = 0;
    for (const DType dtype : {DType::f16, DType::bf16}) {
      if (!asked) break;
      for (const Attention& attention : kAttentions) {
        for (const bool self : {true, false}) {
          const AttentionShape shape = shape_of(attention, self, dtype);
          const auto graph = cuda::attention_graph(shape, target);
          INFO(gpu.name << " " << name_of(dtype) << " " << shape.queries << "x" << shape.keys
                        << ", " << shape.heads << " heads of " << shape.head_dim);
          const std::size_t proposed = cuda::proposed_engines(graph, target);
          CHECK(graph.get() != nullptr);
          CHECK(proposed > 0);
          ++graphs;
          without += proposed == 0 ? 1 : 0;
          of_gpu += static_cast<int>(proposed);
        }
      }
    }
    engines += of_gpu;
    std::cout << gpu.name << " attention: " << of_gpu << " engines, " << without
              << " graphs without one\n";
    AttentionShape other = shape_of(kAttentions[0], true, DType::f32);
    CHECK(cuda::attention_graph(other, target).get() == nullptr);
    other.dtype = DType::f16;
    other.causal = true;
    CHECK(cuda::attention_graph(other, target).get() == nullptr);
    other.causal = false;
    other.head_dim = 44;
    CHECK(cuda::attention_graph(other, target).get() == nullptr);
  }
  std::cout << "cudnn attention graphs checked without a device: " << graphs << " graphs, "
            << engines << " engines\n";
}

}  // namespace diffuse::test
