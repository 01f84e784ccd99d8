#include <oneapi/dnnl/dnnl.hpp>
#include <optional>
#include <string>

#include "core/base/error.hpp"
#include "kernels/cpu/onednn.hpp"

namespace diffuse::cpu {
namespace {

dnnl::cpu_isa limit_of(Isa isa) {
  switch (isa) {
    case Isa::sse:
      return dnnl::cpu_isa::sse41;
    case Isa::avx2:
      return dnnl::cpu_isa::avx2;
    case Isa::avx512:
      return dnnl::cpu_isa::avx512_core;
    case Isa::avx512_bf16:
      return dnnl::cpu_isa::avx512_core_bf16;
    case Isa::amx_bf16:
      return dnnl::cpu_isa::avx512_core_amx;
  }
  return dnnl::cpu_isa::all;
}

const char* name_of(dnnl::cpu_isa isa) {
  switch (isa) {
    case dnnl::cpu_isa::sse41:
      return "sse41";
    case dnnl::cpu_isa::avx:
      return "avx";
    case dnnl::cpu_isa::avx2:
      return "avx2";
    case dnnl::cpu_isa::avx512_core:
      return "avx512_core";
    case dnnl::cpu_isa::avx512_core_vnni:
      return "avx512_core_vnni";
    case dnnl::cpu_isa::avx512_core_bf16:
      return "avx512_core_bf16";
    case dnnl::cpu_isa::avx512_core_amx:
      return "avx512_core_amx";
    default:
      return "other";
  }
}

}  // namespace

void limit_onednn(Isa isa, bool forced) {
  static std::optional<Isa> chosen;
  const Isa wanted = forced ? isa : best_isa();
  if (!chosen) {
    if (forced && dnnl::set_max_cpu_isa(limit_of(isa)) != dnnl::status::success) {
      throw ConfigError("oneDNN does not accept a limit to the instruction set " +
                        std::string(name_of(isa)) + ": it is in use already");
    }
    chosen = wanted;
  }
  if (*chosen != wanted) {
    throw ConfigError("instruction set " + std::string(name_of(wanted)) +
                      " is asked for, but this process uses " + std::string(name_of(*chosen)) +
                      " and cannot change it");
  }
}

std::string OneDnn::version() {
  const dnnl::version_t* version = dnnl::version();
  return "onednn " + std::to_string(version->major) + "." + std::to_string(version->minor) + "." +
         std::to_string(version->patch) + " " + name_of(dnnl::get_effective_cpu_isa());
}

}  // namespace diffuse::cpu
