#pragma once

#include "kernels/make_backend.hpp"

// What the CUDA backend's shared module, diffuse_cuda.so, exports: one C function. The program
// opens the module at run time, so that it also starts on machines without CUDA libraries.

/// Grows with any change to Backend, BackendOptions or what they hold: the module and the program
/// must have been built from the same source.
inline constexpr int kDiffuseCudaAbi = 6;

/// Exported as `diffuse_cuda_module`. With a null `options` only looks for a usable GPU. Returns a
/// backend to delete, or null, then `*problem` holds a message that stays valid for the process
/// (null: a GPU is there).
using DiffuseCudaModule = diffuse::Backend*(int abi, const diffuse::BackendOptions* options,
                                            const char** problem);
