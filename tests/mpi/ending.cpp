// Ends a job in the way that its argument names, with the code that diffuse-batch would return:
//   well           nothing happens
//   agree CODE     the last rank reports CODE, all agree
//   throw          the last rank throws while the others wait in a barrier

#include <exception>
#include <iostream>
#include <string_view>

#include "core/base/error.hpp"
#include "mpi/session.hpp"

int main(int argc, char** argv) {
  try {
    const diffuse::mpi::Session session;
    const auto& world = session.world();
    const bool last = world.rank() == world.size() - 1;
    const std::string_view way = argc > 1 ? argv[1] : "well";
    if (way == "throw") {
      if (last) throw diffuse::MpiError("thrown on purpose");
      world.barrier();
    }
    const auto wish = argc > 2 && last ? static_cast<diffuse::ExitCode>(std::stoi(argv[2]))
                                       : diffuse::ExitCode::ok;
    const auto agreement = world.agree(wish, "reported on purpose");
    if (world.is_root() && !agreement.ok()) std::cerr << agreement.line() << '\n';
    return static_cast<int>(agreement.code);
  } catch (const diffuse::Error& error) {
    std::cerr << error.what() << '\n';
    return static_cast<int>(error.code());
  }
}
