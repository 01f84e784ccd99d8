#include "apps/diffuse_batch/profile.hpp"

#include <catch2/catch.hpp>
#include <thread>

#include "core/tensor/ops.hpp"
#include "core/tensor/shape_backend.hpp"
#include "core/tensor/tensor.hpp"

using namespace diffuse;

namespace {

// Ops are given out in an instant and take their time on the device.
class Asynchronous final : public ForwardingBackend {
 public:
  using ForwardingBackend::ForwardingBackend;
  void execute(const Op&) override { busy_ = true; }
  void wait() override {
    if (busy_) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    busy_ = false;
  }

 private:
  bool busy_ = false;
};

}  // namespace

TEST_CASE("the profile has the time on the device, and its floor where limits are known") {
  ShapeBackend shapes;
  Asynchronous device(shapes);
  TracingBackend tracing(device);
  Ops ops(tracing, DType::f32);
  const Tensor x = ops.make(DType::f32, {1000, 1000});
  for (int i = 0; i < 2; ++i) static_cast<void>(ops.activation(x, Activation::silu));
  REQUIRE(tracing.lines().size() == 1);
  const TracingBackend::Line& line = tracing.lines().begin()->second;
  CHECK(line.seconds >= 0.04);

  // 8 MB a call at 1 GB/s: 8 ms, of two calls 16.
  const std::string known =
      profile_table(tracing, {.flops_per_second = 1, .bytes_per_second = 1e9}, 40);
  CHECK_THAT(known, Catch::Contains(" floor ") && Catch::Contains("of which 0.0160 are the floor"));
  const std::string unknown = profile_table(tracing, {}, 40);
  CHECK_THAT(unknown, !Catch::Contains("floor") && Catch::Contains("activation 1000x1000"));
}
