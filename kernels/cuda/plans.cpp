#include "kernels/cuda/plans.hpp"

#include <utility>

#include "core/base/error.hpp"

namespace diffuse::cuda {
namespace {

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

PlanTable empty_table(int device) {
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, device), "asking for its properties");
  int driver = 0;
  check(cudaDriverGetVersion(&driver), "asking for the driver's version");
  PlanTable table;
  table.machine = {properties.name, properties.major * 10 + properties.minor, version_text(driver),
                   CudnnHandle::version(), LinearPlans::version()};
  return table;
}

}  // namespace

CudaPlans::CudaPlans(DeviceStream& stream, Workspace& workspace, PlanRule rule,
                     std::shared_ptr<PlanTable> table)
    : rule_(rule),
      device_(stream.device()),
      table_(table ? std::move(table) : std::make_shared<PlanTable>(empty_table(device_))),
      cudnn_(stream),
      convolutions_(cudnn_, stream, workspace, *table_, rule),
      linears_(stream, workspace, *table_, rule),
      attentions_(cudnn_, stream, workspace, *table_, rule) {}

std::string CudaPlans::numerics() const {
  std::string text = "cudnn " + table_->machine.cudnn + " cublaslt " + table_->machine.cublaslt;
  if (rule_ == PlanRule::fast) return text + " fast plans";
  return table_->tuned.empty() ? text : text + " plans " + table_->tuned;
}

void CudaPlans::use(PlanTable table) {
  if (!table.machine.fits(table_->machine)) {
    throw DeviceError("the plan table is for " + table.machine.text() + ", and this is " +
                      table_->machine.text() + "; make one here with --tune-plans");
  }
  table.machine = table_->machine;
  *table_ = std::move(table);
  convolutions_.forget();
  linears_.forget();
  attentions_.forget();
}

void CudaPlans::plan(const PlanShape& shape) {
  check(cudaSetDevice(device_), "choosing the GPU");
  if (const auto* convolution = std::get_if<ConvolutionShape>(&shape)) {
    convolutions_.plan(*convolution);
  } else if (const auto* linear = std::get_if<LinearShape>(&shape)) {
    linears_.plan(*linear);
  } else {
    attentions_.plan(std::get<AttentionShape>(shape));
  }
}

void CudaPlans::tune(const PlanShape& shape) {
  check(cudaSetDevice(device_), "choosing the GPU");
  if (const auto* convolution = std::get_if<ConvolutionShape>(&shape)) {
    convolutions_.tune(*convolution);
  } else if (const auto* linear = std::get_if<LinearShape>(&shape)) {
    linears_.tune(*linear);
  } else {
    attentions_.tune(std::get<AttentionShape>(shape));
  }
}

}  // namespace diffuse::cuda
