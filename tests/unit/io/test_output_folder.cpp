#include <fcntl.h>
#include <sys/wait.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <functional>

#include "core/base/error.hpp"
#include "core/base/hashing.hpp"
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
  const auto path = [&](const std::string& name) { return folder.path() / name; };
  const auto look = [&](const std::string& name, const std::optional<ManifestHead>& record = {}) {
    return FolderView(folder.path()).look(name, job_hash(job_of(name)), record);
  };
  const auto state = [&](const std::string& name, const std::optional<ManifestHead>& record = {}) {
    return look(name, record).state;
  };
  // The head of a record as it is written when the picture has got its name.
  const auto head_of = [&](const std::string& name) {
    const FileFinding file = describe_file(path(name));
    return ManifestHead{.job_hash = job_hash(job_of(name)),
                        .path = name,
                        .sha256 = file.sha256,
                        .bytes = file.bytes,
                        .modified = file.modified};
  };
  fs::create_directory(path("sub"));
  for (const char* name : {"a.png", "sub/a.png"}) {
    INFO(name);
    CHECK(state(name) == FileState::missing);
    write_picture(path(name), name);
    const ManifestHead head = head_of(name);
    CHECK(head.sha256 == sha256_hex(content_of(path(name))));
    CHECK(state(name) == FileState::adopted);
    CHECK(look(name).sha256 == head.sha256);
    CHECK(state(name, head) == FileState::whole);

    // A record that does not fit is none; one of a failure neither.
    ManifestHead other = head;
    other.job_hash = "x";
    CHECK(state(name, other) == FileState::adopted);
    other = head;
    other.status = RecordStatus::failed;
    CHECK(state(name, other) == FileState::adopted);
    other = head;
    other.path = "b.png";
    CHECK(state(name, other) == FileState::adopted);

    // Copied: another time, the same bytes. Optimised: other bytes, the same job.
    fs::last_write_time(path(name), fs::file_time_type::clock::now() + std::chrono::hours(1));
    CHECK(state(name, head) == FileState::adopted);
    const auto texts = picture_texts(job_of(name), {"DDIM", "Automatic", "9.9.9"});
    write_file_atomically(path(name), encode_png(8, 8, gradient(8, 8), texts));
    CHECK(state(name, head) == FileState::rewritten);
    CHECK(state(name, head_of(name)) == FileState::whole);

    // Torn after it was recorded, even to the same length.
    const std::string whole = content_of(path(name));
    const ManifestHead now = head_of(name);
    put(path(name), whole.substr(0, 100));
    CHECK(state(name, now) == FileState::torn);
    put(path(name), std::string(whole.size(), '\0'));
    fs::last_write_time(path(name), fs::file_time_type::clock::now() + std::chrono::hours(2));
    CHECK(state(name, now) == FileState::torn);
    fs::remove(path(name));
    CHECK(state(name, now) == FileState::missing);
  }

  write_picture(path("1.png"), "another prompt");
  CHECK(look("1.png").reason == "is a picture of another job");
  write_file_atomically(path("2.png"), encode_png(8, 8, gradient(8, 8), {}));
  CHECK(look("2.png").reason == "is a picture of another program");
  put(path("3.png"), "notes");
  CHECK(look("3.png").reason == "is no PNG file");
  fs::create_directory(path("4.png"));
  CHECK(look("4.png").reason == "is a folder");
  put(path("5.png"), "");
  CHECK(state("5.png") == FileState::torn);
  for (const char* name : {"1.png", "2.png", "3.png", "4.png"}) {
    CHECK(state(name) == FileState::conflict);
  }
  // Something else took the place of a recorded picture.
  write_picture(path("6.png"), "6.png");
  const ManifestHead head = head_of("6.png");
  fs::remove(path("6.png"));
  fs::create_symlink(path("1.png"), path("6.png"));
  CHECK(state("6.png", head) == FileState::conflict);

  has(refusal(ExitCode::bad_output, [&] { look(std::string(252, 'n') + ".png"); }), "255 bytes");
  CHECK(FolderView(path("none")).look("a.png", "x", {}).state == FileState::missing);
}

TEST_CASE("conflicts are told by line and file, the first ones") {
  std::vector<FolderConflict> first;
  for (int i = 1; i <= 20; ++i)
    first.push_back({i, "a" + std::to_string(i) + ".png", "is a folder"});
  const std::string told =
      refusal(ExitCode::busy_output, [&] { refuse_conflicts("out", first, 34); });
  has(told, "line 1: 'a1.png' is a folder; line 2: 'a2.png' is a folder");
  has(told, "and 14 more");
}
