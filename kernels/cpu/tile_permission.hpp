#pragma once

namespace diffuse::cpu {

/// Does the processor have tiles for bf16 products (AMX), and does the system let this process use
/// them? Asks the system on the first call, for all threads of the process.
bool tiles_granted();

}  // namespace diffuse::cpu
