#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "apps/diffuse_batch/line_stream.hpp"

using diffuse::LineStream;

namespace {

struct Pipe {
  Pipe() { REQUIRE(::pipe(ends.data()) == 0); }
  ~Pipe() {
    ::close(ends[0]);
    close_writer();
  }
  void write(const std::string& text) const {
    REQUIRE(::write(ends[1], text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  }
  void close_writer() {
    if (ends[1] >= 0) ::close(ends[1]);
    ends[1] = -1;
  }
  std::array<int, 2> ends{};
};

const auto kNever = [] { return false; };

std::vector<std::string> texts(const std::vector<LineStream::Line>& lines) {
  std::vector<std::string> all;
  for (const LineStream::Line& line : lines) all.push_back(line.text);
  return all;
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("a round has as many lines as were asked for, the last what is left") {
  Pipe pipe;
  pipe.write("one\n\nthree\r\nfour\nfive");
  pipe.close_writer();
  LineStream stream(pipe.ends[0], 100);
  CHECK(texts(stream.next(2, kNever)) == Texts{"one", ""});
  CHECK_FALSE(stream.ended());
  const auto second = stream.next(2, kNever);
  CHECK(texts(second) == Texts{"three\r", "four"});
  CHECK(second[1].number == 4);
  CHECK(texts(stream.next(2, kNever)) == Texts{"five"});
  CHECK(stream.ended());
  CHECK(stream.next(2, kNever).empty());
}

TEST_CASE("a line end at the end makes no line of its own; an empty input none at all") {
  Pipe pipe;
  pipe.write("one\n");
  pipe.close_writer();
  LineStream stream(pipe.ends[0], 100);
  CHECK(texts(stream.next(5, kNever)) == Texts{"one"});
  CHECK(stream.ended());
  Pipe empty;
  empty.close_writer();
  LineStream none(empty.ends[0], 100);
  CHECK(none.next(5, kNever).empty());
  CHECK(none.ended());
}

TEST_CASE("a long line costs no more than its limit, and the next one is whole") {
  Pipe pipe;
  std::thread writer([&] {
    pipe.write(std::string(300'000, 'x'));
    pipe.write("y\nshort\n");
    pipe.close_writer();
  });
  LineStream stream(pipe.ends[0], 10);
  const auto lines = stream.next(2, kNever);
  writer.join();
  CHECK(texts(lines) == Texts{std::string(12, 'x'), "short"});
}

TEST_CASE("what came is handed out though the writer goes on later; a stop ends the wait") {
  Pipe pipe;
  LineStream stream(pipe.ends[0], 100);
  pipe.write("one\ntw");
  CHECK(texts(stream.next(2, kNever)) == Texts{"one"});
  CHECK_FALSE(stream.ended());
  int asked = 0;
  CHECK(stream.next(2, [&] { return ++asked > 3; }).empty());
  pipe.write("o\n");
  CHECK(texts(stream.next(1, kNever)) == Texts{"two"});
}
