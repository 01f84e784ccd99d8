#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace diffuse {

inline constexpr const char* kGalleryName = "index.html";

/// Most records that a page shows: a browser holds all of them in memory.
inline constexpr std::int64_t kMostGalleryRecords = 200'000;

struct GalleryReport {
  std::int64_t records = 0;   ///< on the page
  std::int64_t failed = 0;    ///< of these
  std::int64_t left_out = 0;  ///< beyond kMostGalleryRecords
};

/// Throws InputError(bad_output) if something other than such a page has its name in the folder.
void check_gallery(const std::filesystem::path& output_folder);

/// Writes index.html into the output folder, from its merged manifest: one static page, which needs
/// nothing but itself and the pictures beside it, works from file://, and shows thumbnails (loaded
/// as they come into sight), prompts, settings, failures, a filter by text, and the time of each
/// rank. Every text of the manifest is data there, in JSON without a character that ends it; a
/// policy in the page allows no script but its own and nothing from elsewhere. A page that is
/// there is replaced. Throws as check_gallery(), and Error(storage) if reading or writing fails.
GalleryReport write_gallery(const std::filesystem::path& output_folder);

/// `text` as JSON that may stand inside a <script> element: without <, >, &, U+2028 and U+2029.
std::string script_json(std::string_view text);

}  // namespace diffuse
