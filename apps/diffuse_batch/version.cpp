#include "apps/version.hpp"

#include "apps/diffuse_batch/options.hpp"
#include "kernels/make_backend.hpp"
#include "mpi/session.hpp"

namespace diffuse {

std::string version_text() {
  std::string why;
  const bool cuda = cuda_available(&why);
  return std::string("diffuse-batch ") + kProgramVersion + " (" + kProgramCommit + ")\n" +
         "mpi: " + mpi::library_version() + "\n" + "cpu: " + make_backend("cpu", {})->numerics() +
         "\n" + "cuda: " + (cuda ? "available" : "not available: " + why) + "\n";
}

}  // namespace diffuse
