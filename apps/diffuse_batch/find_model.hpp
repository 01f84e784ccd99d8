#pragma once

#include <functional>
#include <optional>
#include <string>

namespace diffuse {

/// The model to render with: `flag` if given, else DIFFUSE_BATCH_MODEL, else the model that ships:
/// in the source folder of the build tree that the program runs from, else below the install
/// prefix. Throws InputError(bad_model) if there is none.
std::string find_model(const std::string& flag,
                       const std::function<std::optional<std::string>(const char*)>& environment);

}  // namespace diffuse
