#include "kernels/cuda/cudnn_attention.hpp"

namespace diffuse::cuda {

#if CUDNN_VERSION >= 91301

namespace {

constexpr std::size_t kFirstVersion = 91301;

bool applies(const AttentionShape& s) {
  const std::int64_t together = s.head_dim | s.q_stride | s.k_stride | s.v_stride | s.y_stride;
  return (s.dtype == DType::f16 || s.dtype == DType::bf16) && !s.causal && together % 8 == 0 &&
         cudnnGetVersion() >= kFirstVersion;
}

// [N, heads, rows, head_dim] of rows that lie `stride` apart, heads beside one another.
CudnnDescriptor heads_of(const AttentionShape& s, AttentionUid uid, std::int64_t rows,
                         std::int64_t stride) {
  return cudnn_tensor(uid, {s.batch, s.heads, rows, s.head_dim},
                      {rows * stride, s.head_dim, stride, 1}, cudnn_type_of(s.dtype));
}

}  // namespace

CudnnDescriptor attention_graph(const AttentionShape& s, const CudnnTarget& target) {
  if (!applies(s)) return {};
  CudnnDescriptor op(CUDNN_BACKEND_OPERATION_SDPA_FWD_DESCRIPTOR);
  op.set(CUDNN_ATTR_OPERATION_SDPA_FWD_QDESC, heads_of(s, kUidQ, s.queries, s.q_stride));
  op.set(CUDNN_ATTR_OPERATION_SDPA_FWD_KDESC, heads_of(s, kUidK, s.keys, s.k_stride));
  op.set(CUDNN_ATTR_OPERATION_SDPA_FWD_VDESC, heads_of(s, kUidV, s.keys, s.v_stride));
  op.set(CUDNN_ATTR_OPERATION_SDPA_FWD_ODESC, heads_of(s, kUidO, s.queries, s.y_stride));
  op.set(CUDNN_ATTR_OPERATION_SDPA_FWD_SCALEDESC, cudnn_host_number(kUidScale));
  if (!op.finalize()) return {};
  return cudnn_operation_graph({op}, target);
}

#else

CudnnDescriptor attention_graph(const AttentionShape&, const CudnnTarget&) { return {}; }

#endif

}  // namespace diffuse::cuda
