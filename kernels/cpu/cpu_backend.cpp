#include "kernels/cpu/cpu_backend.hpp"

#include <cstdlib>
#include <cstring>

#include "core/base/error.hpp"
#include "kernels/cpu/panels.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/cpu/winograd.hpp"

namespace diffuse::cpu {
namespace {

bool is_forced(std::string_view isa) {
  return !isa.empty() || std::getenv("DIFFUSE_BATCH_ISA") != nullptr;
}

}  // namespace

CpuBackend::CpuBackend(int threads, std::string_view isa, bool lean)
    : threads_(threads),
      lean_(lean),
      isa_(choose_isa(isa)),
      table_(kernels_of(isa_)),
      onednn_(isa_, is_forced(isa)) {}

std::string CpuBackend::numerics() const {
  return "cpu " + std::string(name_of(isa_)) + " " + OneDnn::version() + (lean_ ? " lean" : "");
}

std::string CpuBackend::refuses(DType dtype) const {
  if (dtype == DType::f32) return {};
  if (dtype == DType::bf16) {
    if (table_.bf16 != nullptr) return {};
    return "bf16 needs a processor that multiplies it natively (AVX512-BF16); here the instruction "
           "set is " +
           std::string(name_of(isa_)) + ": use --dtype f32";
  }
  return std::string(diffuse::name_of(dtype)) +
         " is not supported on the CPU, which does not compute in it: use --dtype f32 or bf16";
}

std::shared_ptr<void> CpuBackend::allocate(std::size_t bytes) { return allocate_aligned(bytes); }

void CpuBackend::write(std::span<const std::byte> host, const Tensor& to) {
  if (!host.empty()) std::memcpy(to.data<std::byte>(), host.data(), host.size());
}

void CpuBackend::read(const Tensor& from, std::span<std::byte> host) {
  if (!host.empty()) std::memcpy(host.data(), from.data<std::byte>(), host.size());
}

void CpuBackend::set_threads() const {
#ifdef _OPENMP
  // OpenMP keeps the number for each calling thread.
  if (threads_ > 0) omp_set_num_threads(threads_);
#endif
}

void CpuBackend::execute(const Op& op) {
  loading_scratch_ = {};
  set_threads();
  std::visit([this](const auto& concrete) { run(concrete); }, op);
}

bool CpuBackend::fuses_geglu(const Weight& weight) const {
  return fills_gated_panels(weight, kernels(weight.use.dtype).panels);
}

std::string CpuBackend::method_of(const Op& op) const {
  const auto* convolution = std::get_if<Conv2dOp>(&op);
  if (convolution == nullptr) return {};
  return by_winograd(convolution_of(*convolution)) ? "winograd" : "direct";
}

bool CpuBackend::by_winograd(const Convolution& convolution) const {
  return !lean_ && !kernels(convolution.dtype).panels.on_tiles && prefers_winograd(convolution);
}

const TypedKernels& CpuBackend::kernels(DType dtype) const {
  if (dtype == DType::f32) return table_.f32;
  if (dtype == DType::bf16 && table_.bf16 != nullptr) return *table_.bf16;
  throw DeviceError(refuses(dtype));
}

}  // namespace diffuse::cpu
