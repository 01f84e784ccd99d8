#include <fcntl.h>
#include <sys/wait.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <functional>

#include "core/base/error.hpp"
#include "core/io/atomic_file.hpp"
#include "core/io/output_folder.hpp"
#include "core/io/picture_metadata.hpp"
#include "tests/unit/io/io_test_files.hpp"

using namespace diffuse;
using namespace diffuse::test;
namespace fs = std::filesystem;

namespace {

std::string refusal(ExitCode code, const std::function<void()>& action) {
  try {
    action();
  } catch (const InputError& error) {
    CHECK(error.code() == code);
    CHECK(std::string(error.what()).find('\n') == std::string::npos);
    return error.what();
  }
  return "";
}

void has(const std::string& text, const std::string& part) {
  INFO("text: " << text << "\npart: " << part);
  CHECK(text.find(part) != std::string::npos);
}

PictureJob job_of(const std::string& prompt) {
  PictureJob job;
  job.prompt = prompt;
  job.width = 8;
  job.height = 8;
  return job;
}

void write_picture(const fs::path& path, const std::string& prompt) {
  const auto texts = picture_texts(job_of(prompt), {"DDIM", "Automatic", "0.1.0"});
  write_file_atomically(path, encode_png(8, 8, gradient(8, 8), texts));
}

/// Runs `action` in a process of its own, which ends without destructors, as a killed one does.
int killed_after(const std::function<void()>& action) {
  const pid_t child = ::fork();
  if (child == 0) {
    try {
      action();
      ::_exit(0);
    } catch (const Error& error) {
      ::_exit(static_cast<int>(error.code()));
    }
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

TEST_CASE("an output folder is created and tried") {
  const TemporaryFolder folder;
  prepare_output_folder(folder.path() / "new");
  CHECK(fs::is_directory(folder.path() / "new"));
  CHECK(names_in(folder.path() / "new").empty());
  prepare_output_folder(folder.path() / "new");
  prepare_output_folder(folder.path() / "new" / "");
  fs::create_directory_symlink(folder.path() / "new", folder.path() / "link");
  prepare_output_folder(folder.path() / "link");

  const auto told = [&](const fs::path& path) {
    return refusal(ExitCode::bad_output, [&] { prepare_output_folder(path); });
  };
  has(told(folder.path() / "no" / "new"), "the folder above it is missing");
  put(folder.path() / "file", "x");
  has(told(folder.path() / "file"), "is no folder");
  has(told(folder.path() / "file" / "new"), "Not a directory");
  fs::create_symlink(folder.path() / "nowhere", folder.path() / "dangling");
  has(told(folder.path() / "dangling"), "a link that leads nowhere");
  has(told(folder.path() / std::string(256, 'n')), "name too long");
  has(told(""), "has no name");
  has(told("/proc/self"), "cannot be written to");
}

TEST_CASE("an output folder on storage that is read-only or full") {
  const TemporaryFolder folder;
  const auto told = [&](const fs::path& path) {
    return refusal(ExitCode::bad_output, [&] { prepare_output_folder(path); });
  };
  {
    const SmallFileSystem fixed(folder.path() / "fixed", "", MS_RDONLY);
    if (!fixed.mounted()) return;
    has(told(folder.path() / "fixed"), "Read-only");
    has(told(folder.path() / "fixed" / "new"), "Read-only");
  }
  const SmallFileSystem full(folder.path() / "full", "size=4k,nr_inodes=3", 0);
  if (!full.mounted()) return;
  put(folder.path() / "full" / "a", std::string(4096, 'x'));
  has(told(folder.path() / "full"), "No space");
  CHECK(names_in(folder.path() / "full").size() == 1);
}

TEST_CASE("temporary files of dead runs are swept, others stay") {
  const TemporaryFolder folder;
  const int limited = killed_after([&] {
    put(folder.path() / ".diffuse-batch.000001.png.123.0.part", "x");
    put(folder.path() / ".diffuse-batch.mine", "x");
    put(folder.path() / "notes.part", "x");
  });
  CHECK(limited == 0);
  CHECK(sweep_temporaries(folder.path()) == 1);
  CHECK(names_in(folder.path()).size() == 2);
}

TEST_CASE("one run at a time holds a folder") {
  const TemporaryFolder folder;
  const fs::path lock = folder.path() / kLockName;
  const auto told = [&] {
    return refusal(ExitCode::busy_output, [&] { OutputFolderLock again(folder.path()); });
  };
  {
    const OutputFolderLock held(folder.path());
    CHECK_FALSE(held.taken_over());
    has(told(), "process " + std::to_string(::getpid()));
    CHECK(killed_after([&] { OutputFolderLock other(folder.path()); }) ==
          static_cast<int>(ExitCode::busy_output));
    CHECK(fs::exists(lock));
    // What the file says does not matter while its holder lives.
    const std::string own = content_of(lock);
    std::string content = own;
    const std::string process = " " + std::to_string(::getpid()) + " ";
    content.replace(content.find(process), process.size(), " 999999999 ");
    put(lock, content);
    has(told(), "process 999999999");
    put(lock, own);
  }
  CHECK_FALSE(fs::exists(lock));

  SECTION("a dead run's lock is taken over") {
    CHECK(killed_after([&] { new OutputFolderLock(folder.path()); }) == 0);
    CHECK(fs::exists(lock));
    const OutputFolderLock held(folder.path());
    CHECK(held.taken_over());
  }
  SECTION("the lock of another host stays") {
    put(lock, "another-host 1 2\n");
    has(told(), "host 'another-host'");
    CHECK(content_of(lock) == "another-host 1 2\n");
  }
  SECTION("the lock of another host that gave no sign of life for five minutes is taken over") {
    put(lock, "another-host 1 2\n");
    const auto now = fs::last_write_time(lock);
    fs::last_write_time(lock, now - std::chrono::seconds(200));
    has(told(), "5 minutes after its last sign of life");
    fs::last_write_time(lock, now - std::chrono::seconds(301));
    {
      const OutputFolderLock held(folder.path());
      CHECK(held.taken_over());
      CHECK(names_in(folder.path()).size() == 1);
      // Should the other one live after all, this run takes nothing from it.
      put(lock, "another-host 1 2\n");
    }
    CHECK(fs::exists(lock));
  }
  SECTION("a process that got the number of a dead one is not its run") {
    CHECK(killed_after([&] { new OutputFolderLock(folder.path()); }) == 0);
    std::string content = content_of(lock);
    content.replace(content.find(' '), std::string::npos, " 1 123456\n");
    put(lock, content);
    CHECK(OutputFolderLock(folder.path()).taken_over());
  }
  SECTION("an empty lock file is nobody's") {
    put(lock, "");
    CHECK_FALSE(OutputFolderLock(folder.path()).taken_over());
  }
  SECTION("something else under the name of the lock") {
    fs::create_directory(lock);
    has(refusal(ExitCode::bad_output, [&] { OutputFolderLock again(folder.path()); }),
        "cannot be made");
  }
}

TEST_CASE("what a folder holds of the pictures that are asked for") {
  const TemporaryFolder folder;
  std::vector<ExpectedPicture> pictures;
  for (int i = 0; i < 9; ++i) {
    pictures.push_back({10 + i, std::to_string(i) + ".png", job_hash(job_of(std::to_string(i)))});
  }
  pictures[8].file_name = "sub/8.png";
  const auto path = [&](int i) {
    return folder.path() / pictures[static_cast<std::size_t>(i)].file_name;
  };
  write_picture(path(0), "0");
  write_picture(path(1), "another prompt");
  write_file_atomically(path(2), encode_png(8, 8, gradient(8, 8), {}));
  put(path(3), "notes");
  fs::create_directory(path(4));
  put(path(5), "");
  write_picture(path(6), "6");
  put(path(6), content_of(path(6)).substr(0, 100));
  fs::create_directory(folder.path() / "sub");
  write_picture(path(8), "8");

  const FolderState state = inspect_folder(folder.path(), pictures);
  using Positions = std::vector<std::size_t>;
  CHECK(state.whole == Positions{0, 8});
  CHECK(state.missing == Positions{7});
  CHECK(state.torn == Positions{5, 6});
  REQUIRE(state.conflicts.size() == 4);
  const std::string told =
      refusal(ExitCode::busy_output, [&] { refuse_conflicts(folder.path(), state, pictures); });
  has(told, "line 11: '1.png' is a picture of another job");
  has(told, "line 12: '2.png' is a picture of another program");
  has(told, "line 13: '3.png' is no PNG file");
  has(told, "line 14: '4.png' is a folder");
  CHECK(refusal(ExitCode::busy_output, [&] {
          refuse_conflicts(folder.path(), {}, pictures);
        }).empty());

  for (int i = 20; i < 50; ++i) {
    pictures.push_back({i, std::to_string(i) + ".png", "x"});
    put(folder.path() / pictures.back().file_name, "notes");
  }
  has(refusal(ExitCode::busy_output,
              [&] {
                refuse_conflicts(folder.path(), inspect_folder(folder.path(), pictures), pictures);
              }),
      "and 14 more");
  pictures[0].file_name = std::string(252, 'n') + ".png";
  has(refusal(ExitCode::bad_output, [&] { inspect_folder(folder.path(), pictures); }), "255 bytes");
  CHECK(inspect_folder(folder.path() / "none", std::span(pictures).subspan(1, 3)).missing ==
        Positions{0, 1, 2});
}
