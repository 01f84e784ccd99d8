#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "core/io/checkpoint.hpp"

namespace diffuse {

/// The translation of a single-file checkpoint of Stable Diffusion 1.x, in the names of the LDM
/// program (`model.diffusion_model.*`, `first_stage_model.*`, `cond_stage_model.transformer.*`),
/// for one component. Four levels, two blocks a level, as all 1.x models have; attention weights of
/// the VAE [C, C, 1, 1] become [C, C]. Entries of other components, `model_ema.*` and tables of the
/// noise schedule belong to none.
/// Source: CompVis `latent-diffusion`; diffusers `scripts/convert_from_ckpt.py`.
KeyTranslation ldm_keys(Component component);

/// Throws InputError(bad_model) unless the file is a checkpoint of Stable Diffusion 1.x in the LDM
/// layout: other families and kinds of files are named. `needs_vae`: no VAE comes from elsewhere.
void check_is_sd1(const SafetensorsFile& file, bool needs_vae);

/// The configuration of a component as a diffusers folder of this checkpoint would hold it: SD
/// 1.x's own values, with widths, layers and the vocabulary's size from the shapes in the file, and
/// 64 channels for each attention head of the text encoder.
/// Throws InputError(bad_model) if a tensor is missing that tells a width.
nlohmann::json sd1_config(const SafetensorsFile& file, Component component);

/// `scheduler_config.json` of Stable Diffusion 1.5.
std::string sd1_scheduler_config();

}  // namespace diffuse
