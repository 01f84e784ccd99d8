#pragma once

#include <string_view>

namespace diffuse {

/// The fixed parts of the gallery, from core/io/gallery_page: inside <body>, <style> and <script>.
extern const std::string_view kGalleryBody;
extern const std::string_view kGalleryStyle;
extern const std::string_view kGalleryScript;

}  // namespace diffuse
