#pragma once

#include <cstddef>

namespace diffuse::cuda {

/// Device memory that kernels of one stream use one after another.
class Workspace {
 public:
  Workspace() = default;
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;
  virtual ~Workspace() = default;
  /// At least that many bytes, 256-byte aligned; the contents of an earlier call are lost.
  virtual std::byte* reserve(std::size_t bytes) = 0;
};

/// Where and how kernels run.
struct Context {
  void* stream = nullptr;  ///< a cudaStream_t
  Workspace* workspace = nullptr;
  bool tensor_cores = false;  ///< mma.m16n8k16 and cp.async: compute capability 8.0 and newer
  bool warpgroups = false;    ///< wgmma: compute capability 9.0 and no other
};

}  // namespace diffuse::cuda
