#include "apps/diffuse_batch/overviews.hpp"

#include <algorithm>
#include <system_error>

#include "core/base/error.hpp"
#include "core/base/log.hpp"
#include "core/base/text.hpp"
#include "core/io/contact_sheet.hpp"
#include "core/io/gallery.hpp"

namespace diffuse {
namespace {

constexpr int kSheetEdge = 256;

void check_contact_sheet(const std::filesystem::path& sheet) {
  std::error_code ignored;
  const std::filesystem::path folder = sheet.has_parent_path() ? sheet.parent_path() : ".";
  if (!std::filesystem::is_directory(folder, ignored)) {
    throw InputError(ExitCode::bad_output, "contact sheet '" + printable(sheet.string()) +
                                               "': the folder above it is missing");
  }
  if (std::filesystem::is_directory(sheet, ignored)) {
    throw InputError(ExitCode::bad_output,
                     "contact sheet '" + printable(sheet.string()) + "' is a folder; name a file");
  }
}

void write_sheet(const std::vector<std::filesystem::path>& pictures, const Options& options) {
  const ContactSheetResult result =
      write_contact_sheet(pictures, options.contact_sheet,
                          {.edge = std::min(kSheetEdge, std::max(*options.width, *options.height)),
                           .columns = 0,
                           .labels = options.contact_sheet_labels == "prompt"});
  log()->info("contact sheet: {}", printable(options.contact_sheet));
  if (result.left_out > 0) {
    log()->warn("the contact sheet has no room for {} at its end",
                counted(static_cast<std::int64_t>(result.left_out), "picture"));
  }
  if (result.framed_labels > 0) {
    log()->info("the font of the contact sheet lacks letters of {}: frames stand for them",
                counted(static_cast<std::int64_t>(result.framed_labels), "label"));
  }
}

}  // namespace

void check_overviews(const Options& options) {
  if (!options.contact_sheet.empty()) check_contact_sheet(options.contact_sheet);
  if (options.gallery) check_gallery(options.output_dir);
}

void write_overviews(const std::vector<std::filesystem::path>& pictures, const Options& options) {
  if (!options.contact_sheet.empty() && !pictures.empty()) write_sheet(pictures, options);
  if (!options.gallery) return;
  const GalleryReport report = write_gallery(options.output_dir);
  const std::filesystem::path page = std::filesystem::path(options.output_dir) / kGalleryName;
  log()->info("gallery: {} ({}, {} failed)", printable(page.string()),
              counted(report.records, "job"), report.failed);
  if (report.left_out > 0) {
    log()->warn("the gallery shows the first {}; manifest.jsonl has {} more",
                counted(report.records, "job"), report.left_out);
  }
}

}  // namespace diffuse
