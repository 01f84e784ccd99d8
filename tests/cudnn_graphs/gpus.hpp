#pragma once

#include <string>

namespace diffuse::test {

/// GPUs of three generations that cuDNN is asked about.
struct Gpu {
  const char* name;
  int version, processors, shared_bytes, threads, blocks, l2_bytes;
};
inline const Gpu kGpus[] = {
    {"NVIDIA A100-SXM4-80GB", 800, 108, 166912, 2048, 32, 41943040},
    {"NVIDIA GeForce RTX 4090", 890, 128, 101376, 1536, 24, 75497472},
    {"NVIDIA H200", 900, 132, 232448, 2048, 32, 62914560},
};

/// As cuDNN describes it.
inline std::string json_of(const Gpu& gpu) {
  const auto number = [](const char* key, long long value) {
    return std::string(",\"") + key + "\":" + std::to_string(value);
  };
  return std::string("{\"maxGridSize\":[2147483647,65535,65535],\"maxBlockSize\":[1024,1024,64]") +
         number("regsPerBlock", 65536) + number("multiProcessorCount", gpu.processors) +
         number("warpSize", 32) + number("maxSharedMemoryPerBlock", 49152) +
         number("maxSharedMemoryPerBlockOptin", gpu.shared_bytes) +
         number("reservedSharedMemoryPerBlock", 1024) + number("maxRegistersPerSM", 65536) +
         number("maxCtasPerSM", gpu.blocks) + number("maxThreadsPerBlock", 1024) +
         number("maxThreadsPerSM", gpu.threads) + number("pciDeviceId", 0) +
         number("isTccDriver", 0) + number("supportCoopLaunch", 1) +
         number("smClockRateKHz", 1980000) + number("memClockRateKHz", 3201000) +
         number("l2CacheSize", gpu.l2_bytes) + ",\"deviceName\":\"" + gpu.name + "\"" +
         number("deviceVer", gpu.version) + number("driverVer", 13000) +
         number("totalGlobalMem", 24000000000LL) + number("cudaDeviceId", 0) + "}";
}

}  // namespace diffuse::test
