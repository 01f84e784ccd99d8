#pragma once

// The table of an instruction set with a tile unit. Included once for each.

// In this order: each uses the one before.
// clang-format off
#include "kernels/cpu/isa/table.inl.hpp"
#include "kernels/cpu/isa/split_numbers.inl.hpp"
#include "kernels/cpu/isa/attention_tiles_pack.inl.hpp"
#include "kernels/cpu/isa/attention_tiles_rows.inl.hpp"
#include "kernels/cpu/isa/attention_tiles.inl.hpp"
#include "kernels/cpu/isa/tile_blocks.inl.hpp"
#include "kernels/cpu/isa/panels_tiles.inl.hpp"
#include "kernels/cpu/isa/split_tiles.inl.hpp"
// clang-format on

namespace diffuse::cpu::DIFFUSE_CPU_ISA {

/// The kernels of avx512_bf16, but for products.
template <class Tiles>
const KernelTable* tile_table() {
  static const TypedKernels kBf16 = [] {
    TypedKernels kernels = *avx512_bf16_kernels()->bf16;
    kernels.panels.columns = kTilePanel;
    kernels.panels.product = tile_panel_product<Tiles>;
    kernels.panels.gated = panel_gated<Bf16, kTilePanel>;
    kernels.panels.on_tiles = true;
    kernels.attention = tile_attention_kernels<Tiles, Bf16Numbers>();
    return kernels;
  }();
  static const KernelTable kTable = [] {
    KernelTable table{avx512_bf16_kernels()->f32, &kBf16};
    table.f32.panels.split = &kSplitKernels<Tiles>;
    table.f32.attention = tile_attention_kernels<Tiles, SplitNumbers>();
    return table;
  }();
  return &kTable;
}

}  // namespace diffuse::cpu::DIFFUSE_CPU_ISA
