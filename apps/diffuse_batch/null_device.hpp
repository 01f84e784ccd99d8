#pragma once

#include <memory>

#include "apps/diffuse_batch/picture_maker.hpp"
#include "apps/diffuse_batch/preparation.hpp"

namespace diffuse {

/// `--device null`: what open_model() and choose_device() settle, without a model and a device.
/// Pictures are stand-ins of --width x --height pixels (64 x 64), which depend on the job alone.
void prepare_null_device(Preparation& prepared);

/// Makes stand-ins that take --null-ms milliseconds each.
std::unique_ptr<PictureMaker> make_null_picture_maker(const Preparation& prepared);

}  // namespace diffuse
