#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/tensor/backend.hpp"

namespace diffuse {

class Program;

/// The checked front of a backend: all that models see. Each method checks shapes and dtypes once
/// for every device (ShapeError), allocates the output and hands the op to the backend, or, while a
/// Program is being recorded, to the program. Formulas and shapes: core/tensor/op.hpp.
class Ops {
 public:
  /// `dtype`: of activations (f32, f16 or bf16). Throws DeviceError if the backend refuses it.
  Ops(Backend& backend, DType dtype);

  [[nodiscard]] DType dtype() const { return dtype_; }
  [[nodiscard]] Backend& backend() const { return backend_; }

  // Memory.
  [[nodiscard]] Tensor make(DType dtype, const Shape& shape);
  /// A contiguous tensor with the given values; outside of a recording only.
  [[nodiscard]] Tensor upload(std::span<const float> values, const Shape& shape);
  [[nodiscard]] Tensor upload(std::span<const std::int32_t> values, const Shape& shape);
  void write(std::span<const float> values, const Tensor& to);
  void write(std::span<const std::int32_t> values, const Tensor& to);
  void write_bytes(std::span<const std::byte> values, const Tensor& to);
  /// Values of an f32 tensor.
  [[nodiscard]] std::vector<float> download(const Tensor& from);
  /// Bytes of any tensor, without waiting for them (Backend::begin_read).
  [[nodiscard]] std::unique_ptr<PendingRead> begin_download(const Tensor& from);
  [[nodiscard]] Weight prepare(std::span<const StoredWeight> parts, const WeightUse& use);

  /// While it lives, ops belong to a range of that name (Backend::begin_range).
  class Range {
   public:
    Range(Ops& ops, const std::string& name) : ops_(ops) { ops_.mark(name); }
    Range(const Range&) = delete;
    Range& operator=(const Range&) = delete;
    ~Range() { ops_.mark({}); }

   private:
    Ops& ops_;
  };
  [[nodiscard]] Range range(const std::string& name) { return {*this, name}; }

  // Layers.
  struct LinearExtras {
    Tensor bias{}, residual{};
    Activation activation = Activation::none;
    bool f32_output = false;
  };
  Tensor embedding(const Tensor& ids, const Weight& tokens, const Weight& positions);
  Tensor linear(const Tensor& x, const Weight& weight, const LinearExtras& extras);
  struct ConvParams {
    Tensor bias{}, residual{};
    int stride = 1;
    int pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
  };
  Tensor conv2d(const Tensor& x, const Weight& weight, const ConvParams& params);
  /// eps has no default: it differs between networks (1e-5 in UNet resnets, 1e-6 in transformers
  /// and the VAE).
  Tensor group_norm(const Tensor& x, const Tensor& scale, const Tensor& shift, int groups,
                    float eps, Activation activation);
  Tensor layer_norm(const Tensor& x, const Tensor& scale, const Tensor& shift, float eps);
  struct AttentionParams {
    int heads;
    float scale;
    bool causal;
    bool upcast;
  };
  Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v,
                   const AttentionParams& params);
  Tensor geglu(const Tensor& x);
  /// geglu(linear(x, weight, {.bias = bias})), in one op where the backend has it.
  Tensor linear_geglu(const Tensor& x, const Weight& weight, const Tensor& bias);
  Tensor activation(const Tensor& x, Activation activation);
  Tensor upsample_nearest(const Tensor& x, std::int64_t height, std::int64_t width);
  Tensor concat_channels(const Tensor& a, const Tensor& b);
  void copy(const Tensor& x, const Tensor& y);

  // The denoising loop and its ends.
  Tensor select_row(const Tensor& table, const Tensor& step);
  /// `copies`: 1, or 2 for the two halves of classifier-free guidance. Output of the run's dtype.
  Tensor scale_input(const Tensor& x, const Tensor& factors, const Tensor& step, int copies);
  void scheduler_step(const SchedulerStepOp& op);
  void pixels(const Tensor& x, const Tensor& y);

 private:
  friend class Program;
  void submit(Op op);
  void mark(const std::string& range);

  Backend& backend_;
  DType dtype_;
  Program* recording_ = nullptr;
};

}  // namespace diffuse
