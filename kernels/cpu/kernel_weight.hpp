#pragma once

#include <memory>

#include "kernels/cpu/convolution.hpp"
#include "kernels/cpu/panel_weight.hpp"
#include "kernels/cpu/winograd.hpp"

namespace diffuse::cpu {

/// A convolution's kernels, in the form that their pictures want: Winograd's or panels. Which one
/// that is, the size of a picture says, so that what it gets does not depend on the sizes of
/// others; the hint given with a weight only says which form is made first.
struct KernelWeight final : PreparedWeight {
  Convolution usual;
  mutable std::shared_ptr<const WinogradWeight> winograd;
  mutable std::shared_ptr<const PanelWeight> panels;
  mutable bool guess_replaced = false;
};

/// The form asked for; made of the other one, exactly, where it is missing. The first to be made so
/// takes the place of the guess: most weights meet one size only, and are held once.
const WinogradWeight& winograd_form(const KernelWeight& weight, const PanelKernels& kernels);
const PanelWeight& panel_form(const KernelWeight& weight, const PanelKernels& kernels);

}  // namespace diffuse::cpu
