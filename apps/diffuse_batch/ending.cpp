#include "apps/diffuse_batch/ending.hpp"

#include <algorithm>
#include <filesystem>
#include <vector>

#include "apps/diffuse_batch/profile.hpp"
#include "core/base/log.hpp"
#include "core/io/contact_sheet.hpp"

namespace diffuse {
namespace {

constexpr std::size_t kProfileRows = 40;
constexpr int kSheetEdge = 256;

void write_contact_sheet_of(const std::vector<std::filesystem::path>& paths, const Options& o) {
  if (o.contact_sheet.empty() || paths.empty()) return;
  write_contact_sheet(paths, o.contact_sheet,
                      {.edge = std::min(kSheetEdge, std::max(*o.width, *o.height)), .columns = 0});
  log()->info("contact sheet: {}", o.contact_sheet);
}

}  // namespace

AgreedEnd finish_run(const mpi::Communicator& comm, const Preparation& prepared,
                     std::optional<JobList>& list, Reporter* reporter, AgreedEnd end) {
  try {
    together(comm, [&] {
      if (!comm.is_root()) return;
      reporter->finish();
      list->close_output(prepared.settings, end.code);
      if (prepared.tracing) {
        log()->info("profile of rank 0:\n{}", profile_table(*prepared.tracing, kProfileRows));
      }
      write_contact_sheet_of(reporter->paths(), prepared.settings.options);
    });
  } catch (const AgreedEnd& late) {
    // A full disk is told once, by the picture that met it first.
    if (mpi::severity_of(late.code) > mpi::severity_of(end.code)) return late;
  }
  return end;
}

}  // namespace diffuse
