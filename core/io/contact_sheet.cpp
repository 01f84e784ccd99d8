#include "core/io/contact_sheet.hpp"

#include <png.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/io/atomic_file.hpp"
#include "core/io/label_font.hpp"
#include "core/io/picture_label.hpp"
#include "core/io/picture_metadata.hpp"
#include "core/io/png_check.hpp"
#include "core/io/png_writer.hpp"

namespace diffuse {
namespace {

constexpr std::int64_t kMostPixels = 64'000'000;
constexpr int kMostEdge = 4'096;
constexpr int kLeastEdge = 16;
constexpr int kGap = 4;
constexpr std::uint8_t kWhite = 255;
constexpr std::uint8_t kGrey = 128;

constexpr std::uint8_t kInk = 32;
constexpr int kLabelLines = 3;
constexpr int kEdgeOfLabels = 96;
constexpr int kEdgeOfNames = 40;

/// Where the cells of a sheet are.
struct Grid {
  bool labels = false;
  int edge = 0;
  std::int64_t columns = 0;
  std::int64_t rows = 0;
  std::int64_t shown = 0;

  [[nodiscard]] int label_lines() const {
    return !labels || edge < kEdgeOfNames ? 0 : edge < kEdgeOfLabels ? 1 : kLabelLines;
  }
  [[nodiscard]] std::int64_t row_height() const {
    return edge + kGap + (label_lines() > 0 ? label_lines() * kLetterHeight + kGap : 0);
  }
  [[nodiscard]] std::int64_t left(std::int64_t cell) const {
    return kGap + cell % columns * (edge + kGap);
  }
  [[nodiscard]] std::int64_t top(std::int64_t cell) const {
    return kGap + cell / columns * row_height();
  }
  [[nodiscard]] std::int64_t width() const { return columns * (edge + kGap) + kGap; }
  [[nodiscard]] std::int64_t height() const { return rows * row_height() + kGap; }
};

Grid make_grid(std::int64_t count, const ContactSheetSettings& settings) {
  Grid grid;
  grid.labels = settings.labels;
  grid.edge = settings.edge;
  grid.shown = count;
  for (;;) {
    grid.columns =
        settings.columns > 0
            ? settings.columns
            : static_cast<std::int64_t>(std::ceil(std::sqrt(static_cast<double>(grid.shown))));
    grid.columns = std::min(grid.columns, grid.shown);
    grid.rows = (grid.shown + grid.columns - 1) / grid.columns;
    if (grid.width() * grid.height() <= kMostPixels) return grid;
    if (grid.edge > kLeastEdge) {
      grid.edge = std::max(kLeastEdge, grid.edge * 7 / 8);
    } else {
      grid.shown -= std::max<std::int64_t>(1, grid.shown / 8);
    }
  }
}

void place(const RgbPicture& picture, const Grid& grid, std::int64_t cell, RgbPicture& sheet) {
  const std::int64_t left = grid.left(cell) + (grid.edge - picture.width) / 2;
  const std::int64_t top = grid.top(cell) + (grid.edge - picture.height) / 2;
  for (std::int64_t y = 0; y < picture.height; ++y) {
    std::copy_n(picture.rgb.begin() + y * picture.width * 3, picture.width * 3,
                sheet.rgb.begin() + ((top + y) * sheet.width + left) * 3);
  }
}

/// The name of the file without its ending, and the prompt that it carries.
std::string label_text(const std::filesystem::path& path, const PngCheck& check) {
  const std::optional<RecordedJob> recorded = recorded_job(check.texts);
  return path.stem().string() + (recorded ? " " + recorded->job.prompt : "");
}

/// Draws `text` under a cell; true if frames stand for some of its letters.
bool draw_label(const std::string& text, const Grid& grid, std::int64_t cell, RgbPicture& sheet) {
  const PictureLabel label = make_label(text, grid.edge / kLetterWidth, grid.label_lines());
  std::int64_t top = grid.top(cell) + grid.edge + kGap;
  for (const std::u32string& line : label.lines) {
    draw_letters(line, grid.left(cell), top, kInk, sheet);
    top += kLetterHeight;
  }
  return label.missing > 0;
}

/// The pixels of a file that check_png() found to be so.
std::optional<RgbPicture> read_checked_png(const std::filesystem::path& path,
                                           const PngCheck& check) {
  if (check.status != PngStatus::whole ||
      std::int64_t{check.width} * std::int64_t{check.height} > kMostPixels) {
    return std::nullopt;
  }
  png_image image;
  std::memset(&image, 0, sizeof image);
  image.version = PNG_IMAGE_VERSION;
  if (png_image_begin_read_from_file(&image, path.c_str()) == 0) return std::nullopt;
  RgbPicture picture;
  // The file may have been replaced since the check.
  if (std::int64_t{image.width} * std::int64_t{image.height} > kMostPixels) {
    png_image_free(&image);
    return std::nullopt;
  }
  image.format = PNG_FORMAT_RGB;
  picture.width = static_cast<int>(image.width);
  picture.height = static_cast<int>(image.height);
  picture.rgb.resize(PNG_IMAGE_SIZE(image));
  const png_color white{kWhite, kWhite, kWhite};
  if (png_image_finish_read(&image, &white, picture.rgb.data(), 0, nullptr) == 0) {
    return std::nullopt;
  }
  return picture;
}

}  // namespace

std::optional<RgbPicture> read_png(const std::filesystem::path& path) {
  return read_checked_png(path, check_png(path));
}

RgbPicture thumbnail(const RgbPicture& picture, int edge) {
  const int longest = std::max(picture.width, picture.height);
  if (longest <= edge) return picture;
  const auto scaled = [&](int length) {
    return static_cast<int>(
        std::max<std::int64_t>(1, (std::int64_t{length} * edge + longest / 2) / longest));
  };
  RgbPicture small{scaled(picture.width), scaled(picture.height), {}};
  small.rgb.reserve(static_cast<std::size_t>(small.width) * static_cast<std::size_t>(small.height) *
                    3);
  const auto border = [](std::int64_t at, int from, int to) {
    return static_cast<std::size_t>(at * from / to);
  };
  const auto width = static_cast<std::size_t>(picture.width);
  for (int y = 0; y < small.height; ++y) {
    const std::size_t top = border(y, picture.height, small.height);
    const std::size_t bottom = border(y + 1, picture.height, small.height);
    for (int x = 0; x < small.width; ++x) {
      const std::size_t left = border(x, picture.width, small.width);
      const std::size_t right = border(x + 1, picture.width, small.width);
      const std::uint64_t pixels = std::max<std::uint64_t>(1, (bottom - top) * (right - left));
      for (std::size_t channel = 0; channel < 3; ++channel) {
        std::uint64_t sum = 0;
        for (std::size_t v = top; v < bottom; ++v) {
          for (std::size_t u = left; u < right; ++u)
            sum += picture.rgb[(v * width + u) * 3 + channel];
        }
        small.rgb.push_back(static_cast<std::uint8_t>((sum + pixels / 2) / pixels));
      }
    }
  }
  return small;
}

ContactSheetResult write_contact_sheet(std::span<const std::filesystem::path> pictures,
                                       const std::filesystem::path& sheet,
                                       const ContactSheetSettings& settings) {
  if (pictures.empty() || settings.edge < kLeastEdge || settings.edge > kMostEdge ||
      settings.columns < 0) {
    throw ConfigError("contact sheet '" + printable(sheet.string()) +
                      "' needs pictures, an edge of " + std::to_string(kLeastEdge) + " to " +
                      std::to_string(kMostEdge) + " pixels and no negative number of columns");
  }
  const Grid grid = make_grid(static_cast<std::int64_t>(pictures.size()), settings);
  RgbPicture all{static_cast<int>(grid.width()), static_cast<int>(grid.height()), {}};
  all.rgb.assign(static_cast<std::size_t>(grid.width() * grid.height() * 3), kWhite);
  ContactSheetResult result{all.width, all.height, 0,
                            pictures.size() - static_cast<std::size_t>(grid.shown), 0};
  const auto cell_pixels =
      static_cast<std::size_t>(grid.edge) * static_cast<std::size_t>(grid.edge);
  for (std::int64_t cell = 0; cell < grid.shown; ++cell) {
    const std::filesystem::path& path = pictures[static_cast<std::size_t>(cell)];
    const PngCheck check = check_png(path);
    std::optional<RgbPicture> picture = read_checked_png(path, check);
    if (!picture) {
      ++result.unreadable;
      picture = RgbPicture{grid.edge, grid.edge, std::vector<std::uint8_t>(cell_pixels * 3, kGrey)};
    }
    place(thumbnail(*picture, grid.edge), grid, cell, all);
    if (draw_label(label_text(path, check), grid, cell, all)) ++result.framed_labels;
  }
  write_file_atomically(sheet, encode_png(all.width, all.height, all.rgb, {}));
  return result;
}

}  // namespace diffuse
