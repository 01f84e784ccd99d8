#include "core/tensor/ops.hpp"

#include <string>
#include <utility>

#include "core/base/error.hpp"
#include "core/base/step_row.hpp"
#include "core/tensor/program.hpp"

namespace diffuse {
namespace {

[[noreturn]] void fail(const std::string& op, const std::string& what) {
  throw ShapeError(op + ": " + what);
}

void require(bool ok, const char* op, const std::string& what) {
  if (!ok) fail(op, what);
}

void require_float(const Tensor& t, DType dtype, const char* op, const char* what) {
  require(!t.empty(), op, std::string(what) + " is missing");
  require(t.dtype() == dtype, op,
          std::string(what) + " is " + std::string(name_of(t.dtype())) + ", expected " +
              std::string(name_of(dtype)));
}

void require_contiguous(const Tensor& t, const char* op, const char* what) {
  require(t.contiguous(), op, std::string(what) + " must be contiguous");
}

// An optional f32 vector of `size` elements.
void require_vector(const Tensor& t, std::int64_t size, const char* op, const char* what) {
  if (t.empty()) return;
  require_float(t, DType::f32, op, what);
  require_contiguous(t, op, what);
  require(t.shape().elements() == size, op,
          std::string(what) + " has shape " + t.shape().str() + ", expected " +
              std::to_string(size) + " elements");
}

// The rows that a linear layer meets, and its bias.
void require_linear(const Tensor& x, const Weight& weight, const Tensor& bias, DType dtype,
                    const char* op) {
  require_float(x, dtype, op, "x");
  require(x.shape().back() == weight.shape[1], op,
          "x " + x.shape().str() + " does not fit weight " + weight.shape.str());
  require_vector(bias, weight.shape[0], op, "bias");
}

}  // namespace

Ops::Ops(Backend& backend, DType dtype) : backend_(backend), dtype_(dtype) {
  if (const std::string why = backend.refuses(dtype); !why.empty()) throw DeviceError(why);
}

void Ops::submit(Op op) {
  if (recording_ != nullptr) {
    recording_->ops_.push_back(std::move(op));
  } else {
    backend_.execute(op);
  }
}

void Ops::mark(const std::string& range) {
  if (recording_ != nullptr) {
    recording_->marks_.push_back({recording_->ops_.size(), range});
  } else {
    range.empty() ? backend_.end_range() : backend_.begin_range(range);
  }
}

Tensor Ops::make(DType dtype, const Shape& shape) {
  auto storage = std::make_shared<Storage>();
  storage->bytes = static_cast<std::size_t>(shape.elements()) * size_of(dtype);
  if (recording_ != nullptr) {
    storage->planned = true;
  } else {
    storage->keep_alive = backend_.allocate(storage->bytes);
    storage->data = static_cast<std::byte*>(storage->keep_alive.get());
  }
  return {std::move(storage), dtype, shape};
}

Tensor Ops::upload(std::span<const float> values, const Shape& shape) {
  Tensor out = make(DType::f32, shape);
  write(values, out);
  return out;
}

Tensor Ops::upload(std::span<const std::int32_t> values, const Shape& shape) {
  Tensor out = make(DType::i32, shape);
  write(values, out);
  return out;
}

void Ops::write(std::span<const float> values, const Tensor& to) {
  require(to.dtype() == DType::f32, "write", "floats into " + std::string(name_of(to.dtype())));
  write_bytes(std::as_bytes(values), to);
}

void Ops::write(std::span<const std::int32_t> values, const Tensor& to) {
  require(to.dtype() == DType::i32, "write", "integers into " + std::string(name_of(to.dtype())));
  write_bytes(std::as_bytes(values), to);
}

void Ops::write_bytes(std::span<const std::byte> values, const Tensor& to) {
  require(recording_ == nullptr, "write", "not allowed inside a recording");
  require_contiguous(to, "write", "the tensor");
  require(values.size() == to.bytes(), "write",
          std::to_string(values.size()) + " bytes into " + to.shape().str());
  backend_.write(values, to);
}

std::vector<float> Ops::download(const Tensor& from) {
  require(recording_ == nullptr, "read", "not allowed inside a recording");
  require_float(from, DType::f32, "read", "the tensor");
  require_contiguous(from, "read", "the tensor");
  std::vector<float> out(static_cast<std::size_t>(from.shape().elements()));
  backend_.read(from, std::as_writable_bytes(std::span(out)));
  return out;
}

std::unique_ptr<PendingRead> Ops::begin_download(const Tensor& from) {
  require(recording_ == nullptr, "read", "not allowed inside a recording");
  require_contiguous(from, "read", "the tensor");
  return backend_.begin_read(from);
}

Weight Ops::prepare(std::span<const StoredWeight> parts, const WeightUse& use) {
  require(!parts.empty(), "prepare", "no parts");
  for (const StoredWeight& part : parts) {
    const std::size_t bytes = static_cast<std::size_t>(part.shape.elements()) * size_of(part.dtype);
    require(part.bytes.size() == bytes, "prepare",
            std::to_string(part.bytes.size()) + " bytes for shape " + part.shape.str());
    require(part.shape.with_front(0) == parts[0].shape.with_front(0), "prepare",
            "parts " + part.shape.str() + " and " + parts[0].shape.str() + " do not stack");
  }
  return backend_.prepare(parts, use);
}

Tensor Ops::embedding(const Tensor& ids, const Weight& tokens, const Weight& positions) {
  constexpr const char* kOp = "embedding";
  require(ids.dtype() == DType::i32 && ids.shape().rank() == 2, kOp, "ids must be i32 [N, T]");
  require_contiguous(ids, kOp, "ids");
  require(tokens.shape.back() == positions.shape.back(), kOp,
          "tokens " + tokens.shape.str() + " and positions " + positions.shape.str());
  require(ids.shape()[1] <= positions.shape[0], kOp,
          "ids " + ids.shape().str() + " are longer than positions " + positions.shape.str());
  Tensor y = make(dtype_, {ids.shape()[0], ids.shape()[1], tokens.shape.back()});
  submit(EmbeddingOp{ids, tokens, positions, y});
  return y;
}

Tensor Ops::linear(const Tensor& x, const Weight& weight, const LinearExtras& extras) {
  constexpr const char* kOp = "linear";
  require_linear(x, weight, extras.bias, dtype_, kOp);
  const DType out = extras.f32_output ? DType::f32 : dtype_;
  Tensor y = make(out, x.shape().with_back(weight.shape[0]));
  if (!extras.residual.empty()) {
    require_float(extras.residual, out, kOp, "residual");
    require(extras.residual.shape().elements() == y.shape().elements(), kOp,
            "residual " + extras.residual.shape().str() + " for y " + y.shape().str());
  }
  submit(LinearOp{x, weight, extras.bias, extras.residual, extras.activation, y});
  return y;
}

Tensor Ops::conv2d(const Tensor& x, const Weight& weight, const ConvParams& params) {
  constexpr const char* kOp = "conv2d";
  require_float(x, dtype_, kOp, "x");
  require_contiguous(x, kOp, "x");
  require(x.shape().rank() == 4 && weight.shape.rank() == 4 && x.shape()[3] == weight.shape[1], kOp,
          "x " + x.shape().str() + " does not fit weight " + weight.shape.str());
  require(params.stride >= 1, kOp, "stride must be at least 1");
  require_vector(params.bias, weight.shape[0], kOp, "bias");
  const std::int64_t height = x.shape()[1] + params.pad_top + params.pad_bottom - weight.shape[2];
  const std::int64_t width = x.shape()[2] + params.pad_left + params.pad_right - weight.shape[3];
  require(height >= 0 && width >= 0, kOp,
          "kernel " + weight.shape.str() + " is larger than x " + x.shape().str());
  Tensor y = make(dtype_, {x.shape()[0], height / params.stride + 1, width / params.stride + 1,
                           weight.shape[0]});
  if (!params.residual.empty()) {
    require_float(params.residual, dtype_, kOp, "residual");
    require_contiguous(params.residual, kOp, "residual");
    require(params.residual.shape() == y.shape(), kOp,
            "residual " + params.residual.shape().str() + " for y " + y.shape().str());
  }
  submit(Conv2dOp{x, weight, params.bias, params.residual, params.stride, params.pad_top,
                  params.pad_left, params.pad_bottom, params.pad_right, y});
  return y;
}

Tensor Ops::group_norm(const Tensor& x, const Tensor& scale, const Tensor& shift, int groups,
                       float eps, Activation activation) {
  constexpr const char* kOp = "group_norm";
  require_float(x, dtype_, kOp, "x");
  require_contiguous(x, kOp, "x");
  require(x.shape().rank() >= 3, kOp, "x " + x.shape().str() + " has no pixels");
  const std::int64_t channels = x.shape().back();
  require(groups > 0 && channels % groups == 0, kOp,
          std::to_string(channels) + " channels do not divide into " + std::to_string(groups) +
              " groups");
  require(eps > 0, kOp, "eps must be positive");
  require(!scale.empty() && !shift.empty(), kOp, "scale or shift is missing");
  require_vector(scale, channels, kOp, "scale");
  require_vector(shift, channels, kOp, "shift");
  Tensor y = make(dtype_, x.shape());
  submit(GroupNormOp{x, scale, shift, groups, eps, activation, y});
  return y;
}

Tensor Ops::layer_norm(const Tensor& x, const Tensor& scale, const Tensor& shift, float eps) {
  constexpr const char* kOp = "layer_norm";
  require_float(x, dtype_, kOp, "x");
  require_contiguous(x, kOp, "x");
  require(eps > 0, kOp, "eps must be positive");
  require(!scale.empty() && !shift.empty(), kOp, "scale or shift is missing");
  require_vector(scale, x.shape().back(), kOp, "scale");
  require_vector(shift, x.shape().back(), kOp, "shift");
  Tensor y = make(dtype_, x.shape());
  submit(LayerNormOp{x, scale, shift, eps, y});
  return y;
}

Tensor Ops::attention(const Tensor& q, const Tensor& k, const Tensor& v,
                      const AttentionParams& params) {
  constexpr const char* kOp = "attention";
  require_float(q, dtype_, kOp, "q");
  require_float(k, dtype_, kOp, "k");
  require_float(v, dtype_, kOp, "v");
  require(q.shape().rank() == 3 && k.shape().rank() == 3 && k.shape() == v.shape() &&
              q.shape()[0] == k.shape()[0] && q.shape()[2] == k.shape()[2],
          kOp, "q " + q.shape().str() + ", k " + k.shape().str() + ", v " + v.shape().str());
  require(params.heads > 0 && q.shape()[2] % params.heads == 0, kOp,
          std::to_string(params.heads) + " heads do not divide " + q.shape().str());
  require(k.shape()[1] > 0 && (!params.causal || k.shape()[1] == q.shape()[1]), kOp,
          "causal attention needs as many keys as queries");
  Tensor y = make(dtype_, q.shape());
  submit(AttentionOp{q, k, v, params.heads, params.scale, params.causal, params.upcast, y});
  return y;
}

Tensor Ops::geglu(const Tensor& x) {
  require_float(x, dtype_, "geglu", "x");
  require_contiguous(x, "geglu", "x");
  require(x.shape().back() % 2 == 0, "geglu", "x " + x.shape().str() + " has no two halves");
  Tensor y = make(dtype_, x.shape().with_back(x.shape().back() / 2));
  submit(GegluOp{x, y});
  return y;
}

Tensor Ops::linear_geglu(const Tensor& x, const Weight& weight, const Tensor& bias) {
  if (!backend_.fuses_geglu(weight)) return geglu(linear(x, weight, {.bias = bias}));
  require_linear(x, weight, bias, dtype_, "linear_geglu");
  Tensor y = make(dtype_, x.shape().with_back(weight.shape[0] / 2));
  submit(LinearOp{x, weight, bias, {}, Activation::none, y, true});
  return y;
}

Tensor Ops::activation(const Tensor& x, Activation activation) {
  require_float(x, dtype_, "activation", "x");
  require_contiguous(x, "activation", "x");
  Tensor y = make(dtype_, x.shape());
  submit(ActivationOp{x, activation, y});
  return y;
}

Tensor Ops::upsample_nearest(const Tensor& x, std::int64_t height, std::int64_t width) {
  constexpr const char* kOp = "upsample_nearest";
  require_float(x, dtype_, kOp, "x");
  require_contiguous(x, kOp, "x");
  require(x.shape().rank() == 4 && height >= x.shape()[1] && width >= x.shape()[2], kOp,
          "x " + x.shape().str() + " to " + std::to_string(height) + " x " + std::to_string(width));
  Tensor y = make(dtype_, {x.shape()[0], height, width, x.shape()[3]});
  submit(UpsampleNearestOp{x, y});
  return y;
}

Tensor Ops::concat_channels(const Tensor& a, const Tensor& b) {
  constexpr const char* kOp = "concat_channels";
  require_float(a, dtype_, kOp, "a");
  require_float(b, dtype_, kOp, "b");
  require_contiguous(a, kOp, "a");
  require_contiguous(b, kOp, "b");
  require(a.shape().rank() == b.shape().rank() && a.shape().with_back(0) == b.shape().with_back(0),
          kOp, "a " + a.shape().str() + ", b " + b.shape().str());
  Tensor y = make(dtype_, a.shape().with_back(a.shape().back() + b.shape().back()));
  submit(ConcatChannelsOp{a, b, y});
  return y;
}

void Ops::copy(const Tensor& x, const Tensor& y) {
  constexpr const char* kOp = "copy";
  require(!x.empty() && !y.empty() && x.shape().rank() == y.shape().rank() &&
              x.shape().rank() >= 1 && x.shape().with_front(0) == y.shape().with_front(0) &&
              x.shape()[0] > 0 && y.shape()[0] % x.shape()[0] == 0,
          kOp, "x " + x.shape().str() + ", y " + y.shape().str());
  require(size_of(x.dtype()) > 1 && size_of(y.dtype()) > 1 && x.dtype() != DType::i32 &&
              y.dtype() != DType::i32,
          kOp, "floats only");
  submit(CopyOp{x, y});
}

Tensor Ops::select_row(const Tensor& table, const Tensor& step) {
  constexpr const char* kOp = "select_row";
  require(!table.empty() && table.shape().rank() == 2, kOp, "the table must be [S, C]");
  require_contiguous(table, kOp, "table");
  require(step.dtype() == DType::i32 && step.shape().elements() == 1, kOp, "step must be i32 [1]");
  Tensor y = make(table.dtype(), {1, table.shape()[1]});
  submit(SelectRowOp{table, step, y});
  return y;
}

Tensor Ops::scale_input(const Tensor& x, const Tensor& factors, const Tensor& step, int copies) {
  constexpr const char* kOp = "scale_input";
  require_float(x, DType::f32, kOp, "x");
  require_contiguous(x, kOp, "x");
  require_float(factors, DType::f32, kOp, "factors");
  require(step.dtype() == DType::i32 && step.shape().elements() == 1, kOp, "step must be i32 [1]");
  require(copies == 1 || copies == 2, kOp, "copies must be 1 or 2");
  Tensor y = make(dtype_, x.shape().with_front(copies * x.shape()[0]));
  submit(ScaleInputOp{x, factors, step, y});
  return y;
}

void Ops::scheduler_step(const SchedulerStepOp& op) {
  constexpr const char* kOp = "scheduler_step";
  require_float(op.sample, DType::f32, kOp, "sample");
  require_float(op.noise_pred, dtype_, kOp, "noise_pred");
  require_contiguous(op.sample, kOp, "sample");
  require_contiguous(op.noise_pred, kOp, "noise_pred");
  const Shape& shape = op.sample.shape();
  require(op.noise_pred.shape() == shape || op.noise_pred.shape() == shape.with_front(2 * shape[0]),
          kOp, "noise_pred " + op.noise_pred.shape().str() + " for sample " + shape.str());
  require_float(op.guidance, DType::f32, kOp, "guidance");
  require(op.guidance.shape() == Shape({shape[0], 2}), kOp, "guidance must be [N, 2]");
  require(op.rows.dtype() == DType::u8 && op.rows.shape().rank() == 2 &&
              op.rows.shape()[1] == static_cast<std::int64_t>(sizeof(StepRow)),
          kOp, "rows must be u8 [S, sizeof(StepRow)]");
  require(op.step.dtype() == DType::i32 && op.step.shape().elements() == 1, kOp,
          "step must be i32 [1]");
  require_vector(op.saved, shape.elements(), kOp, "saved");
  require_vector(op.history, StepRow::kHistory * shape.elements(), kOp, "history");
  require_vector(op.noise, shape.elements(), kOp, "noise");
  submit(op);
}

void Ops::pixels(const Tensor& x, const Tensor& y) {
  require_float(x, dtype_, "pixels", "x");
  require_contiguous(x, "pixels", "x");
  require_contiguous(y, "pixels", "y");
  require(y.dtype() == DType::u8 && y.shape() == x.shape(), "pixels",
          "x " + x.shape().str() + ", y " + y.shape().str());
  submit(PixelsOp{x, y});
}

}  // namespace diffuse
