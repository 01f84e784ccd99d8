#include "kernels/cuda/cudnn_convolution.hpp"

namespace diffuse::cuda {
namespace {

// A tensor [N, C, H, W] as cuDNN names it, laid out N, H, W, C.
CudnnDescriptor nhwc(CudnnUid uid, const std::vector<std::int64_t>& dims, cudnnDataType_t type,
                     bool is_virtual = false) {
  return cudnn_tensor(uid, dims, {dims[1] * dims[2] * dims[3], 1, dims[3] * dims[1], dims[1]}, type,
                      is_virtual);
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
  require_cudnn(convolution.finalize(), "a convolution");

  CudnnDescriptor op(CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR);
  const float alpha = 1, beta = 0;
  op.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, x);
  op.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, w);
  op.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, y);
  op.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, convolution);
  op.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_TYPE_FLOAT, &alpha);
  op.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, CUDNN_TYPE_FLOAT, &beta);
  require_cudnn(op.finalize(), "a convolution of these shapes");
  return op;
}

CudnnDescriptor make_addition(const CudnnDescriptor& a, const CudnnDescriptor& b,
                              const CudnnDescriptor& y) {
  CudnnDescriptor addition(CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
  const cudnnPointwiseMode_t mode = CUDNN_POINTWISE_ADD;
  const cudnnDataType_t compute = CUDNN_DATA_FLOAT;
  addition.set(CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, &mode);
  addition.set(CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, &compute);
  require_cudnn(addition.finalize(), "an addition");
  CudnnDescriptor op(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
  op.set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, addition);
  op.set(CUDNN_ATTR_OPERATION_POINTWISE_XDESC, a);
  op.set(CUDNN_ATTR_OPERATION_POINTWISE_BDESC, b);
  op.set(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
  require_cudnn(op.finalize(), "an addition of these shapes");
  return op;
}

}  // namespace

CudnnDescriptor convolution_graph(const ConvolutionShape& s, const CudnnTarget& target) {
  const cudnnDataType_t type = cudnn_type_of(s.dtype);
  const std::int64_t out_height =
      (s.height + s.pad_top + s.pad_bottom - s.kernel_height) / s.stride + 1;
  const std::int64_t out_width =
      (s.width + s.pad_left + s.pad_right - s.kernel_width) / s.stride + 1;
  const std::vector<std::int64_t> out{s.batch, s.out_channels, out_height, out_width};
  const auto x = nhwc(kUidX, {s.batch, s.channels, s.height, s.width}, type);
  const auto w =
      nhwc(kUidWeight, {s.out_channels, s.channels, s.kernel_height, s.kernel_width}, type);
  const auto y = nhwc(kUidY, out, type);
  std::vector<CudnnDescriptor> ops;
  if (s.bias) {
    const auto sum = nhwc(kUidSum, out, CUDNN_DATA_FLOAT, true);
    const auto bias = nhwc(kUidBias, {1, s.out_channels, 1, 1}, type);
    ops = {make_convolution(s, x, w, sum), make_addition(sum, bias, y)};
  } else {
    ops = {make_convolution(s, x, w, y)};
  }
  CudnnDescriptor graph = cudnn_operation_graph(ops, target);
  require_cudnn(graph.get() != nullptr, "a graph");
  return graph;
}

std::optional<EngineChoice> choose_engine(const ConvolutionShape& shape,
                                          const CudnnTarget& target) {
  const auto candidates =
      engine_candidates(convolution_graph(shape, target), shape.dtype, PlanRule::strict, 1, target);
  if (candidates.empty()) return std::nullopt;
  return candidates.front();
}

CudnnPlan build_plan(const ConvolutionShape& shape, const EngineChoice& choice,
                     const CudnnTarget& target) {
  return build_plan(convolution_graph(shape, target), choice, target);
}

}  // namespace diffuse::cuda
