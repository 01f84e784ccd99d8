#include <catch2/catch.hpp>
#include <cstring>
#include <random>
#include <utility>

#include "core/base/error.hpp"
#include "core/tensor/decorators.hpp"
#include "core/tensor/program.hpp"
#include "core/tensor/shape_backend.hpp"

namespace diffuse {
namespace {

// Memory without arithmetic: every op fills its output with the largest byte of its inputs plus
// one, and fails the test where an input holds another value all over than it was given.
class Counting final : public Backend {
 public:
  std::string name() const override { return "counting"; }
  std::string numerics() const override { return {}; }
  std::string refuses(DType) const override { return {}; }
  std::shared_ptr<void> allocate(std::size_t bytes) override {
    std::shared_ptr<void> memory(std::aligned_alloc(128, (bytes + 128) / 128 * 128), std::free);
    std::memset(memory.get(), 0xEE, bytes);
    ++allocations;
    return memory;
  }
  void write(std::span<const std::byte> host, const Tensor& to) override {
    std::memcpy(to.data<std::byte>(), host.data(), host.size());
  }
  void read(const Tensor& from, std::span<std::byte> host) override {
    std::memcpy(host.data(), from.data<std::byte>(), host.size());
  }
  Weight prepare(std::span<const StoredWeight>, const WeightUse&) override { return {}; }
  void execute(const Op& op) override {
    ++executed;
    std::uint8_t value = 0;
    for_each_tensor(op, [&](const Tensor& t, Access access) {
      const auto* bytes = t.data<std::uint8_t>();
      if (access != Access::write) {
        for (std::size_t i = 0; i < t.bytes(); ++i) whole = whole && bytes[i] == bytes[0];
        value = std::max(value, bytes[0]);
      }
    });
    for_each_tensor(op, [&](const Tensor& t, Access access) {
      if (access == Access::write) std::memset(t.data<std::uint8_t>(), value + 1, t.bytes());
    });
  }

  int allocations = 0;
  int executed = 0;
  bool whole = true;  ///< all inputs were as their op had left them
};

std::uint8_t first_byte(const Tensor& t) { return *t.data<std::uint8_t>(); }

}  // namespace

TEST_CASE("recording executes nothing, running executes everything, again and again") {
  Counting backend;
  Ops ops(backend, DType::f32);
  const Tensor in = ops.make(DType::f32, {2, 8});
  const Tensor out = ops.make(DType::f32, {2, 8});
  const int before = backend.allocations;
  Program program = Program::record(ops, [&] {
    Tensor x = ops.activation(in, Activation::silu);
    x = ops.activation(x, Activation::silu);
    ops.copy(x, out);
  });
  CHECK(backend.executed == 0);
  CHECK(backend.allocations == before);
  CHECK(program.ops().size() == 3);

  Arena arena(backend);
  for (const int start : {0, 40}) {
    std::memset(in.data<std::uint8_t>(), start, in.bytes());
    CHECK(program.run(backend, arena));
    CHECK(first_byte(out) == start + 3);
  }
  CHECK(backend.executed == 6);
  CHECK(backend.allocations == before + 1);
}

TEST_CASE("a program follows an arena that has moved") {
  Counting backend;
  Ops ops(backend, DType::f32);
  const Tensor in = ops.make(DType::f32, {8});
  const Tensor out = ops.make(DType::f32, {8});
  std::memset(in.data<std::uint8_t>(), 5, in.bytes());
  Program program =
      Program::record(ops, [&] { ops.copy(ops.activation(in, Activation::silu), out); });
  Arena arena(backend);
  CHECK(program.run(backend, arena));
  arena.reserve(1 << 20);
  CHECK(program.run(backend, arena));
  CHECK(first_byte(out) == 7);
  Arena another(backend);
  CHECK(program.run(backend, another));
  CHECK(first_byte(out) == 7);
}

TEST_CASE("no tensor is overwritten while it is needed: random programs") {
  for (unsigned seed = 1; seed <= 60; ++seed) {
    INFO("seed " << seed);
    std::mt19937 random(seed);
    Counting backend;
    Ops ops(backend, DType::f32);
    const Tensor in = ops.make(DType::f32, {4, 8});
    std::memset(in.data<std::uint8_t>(), 1, in.bytes());
    Program program = Program::record(ops, [&] {
      std::vector<Tensor> alive = {in};
      for (int i = 0; i < 40; ++i) {
        const Tensor a = alive[random() % alive.size()];
        const Tensor b = alive[random() % alive.size()];
        if (random() % 2 == 0 && a.shape().back() < 200) {
          alive.push_back(ops.concat_channels(a, b));
        } else {
          alive.push_back(ops.activation(a, Activation::silu));
        }
        if (alive.size() > 6) alive.erase(alive.begin() + static_cast<long>(random() % 6));
      }
    });
    Arena arena(backend);
    CHECK(program.run(backend, arena));
    CHECK(backend.whole);
    CHECK(arena.bytes() == program.arena_bytes());
    CHECK(program.live_bytes() <= program.arena_bytes());
    CHECK(program.arena_bytes() <= 2 * program.live_bytes());
  }
}

TEST_CASE("a chain of equal tensors needs room for two") {
  ShapeBackend backend;
  Ops ops(backend, DType::f32);
  const Tensor in = ops.make(DType::f32, {1024});
  const Program program = Program::record(ops, [&] {
    Tensor x = in;
    for (int i = 0; i < 20; ++i) x = ops.activation(x, Activation::silu);
  });
  CHECK(program.arena_bytes() == 2 * 4096);
  CHECK(program.live_bytes() == 2 * 4096);
}

TEST_CASE("a run stops where it is told to") {
  Counting backend;
  Ops ops(backend, DType::f32);
  const Tensor in = ops.make(DType::f32, {8});
  Program program = Program::record(ops, [&] {
    Tensor x = in;
    for (int i = 0; i < 5; ++i) x = ops.activation(x, Activation::silu);
  });
  Arena arena(backend);
  CHECK_FALSE(program.run(backend, arena, [](std::size_t i) { return i < 3; }));
  CHECK(backend.executed == 3);
}

namespace {

// Replays as a device would: the first run op by op, the second with the ops looked at once more,
// from then on without asking for them.
class Replaying final : public Backend {
 public:
  struct Kept final : Replay {
    explicit Kept(int& count) : alive(count) { ++alive; }
    Kept(const Kept&) = delete;
    Kept& operator=(const Kept&) = delete;
    ~Kept() override { --alive; }
    int& alive;
    bool whole = false;
  };
  std::string name() const override { return "replaying"; }
  std::string numerics() const override { return {}; }
  std::string refuses(DType) const override { return {}; }
  std::shared_ptr<void> allocate(std::size_t bytes) override { return memory.allocate(bytes); }
  void write(std::span<const std::byte> host, const Tensor& to) override { memory.write(host, to); }
  void read(const Tensor& from, std::span<std::byte> host) override { memory.read(from, host); }
  Weight prepare(std::span<const StoredWeight>, const WeightUse&) override { return {}; }
  void execute(const Op&) override {
    events += 'x';
    if (events.size() == fails_at) throw DeviceError("broken");
  }
  void begin_range(const std::string& name) override { events += "(" + name; }
  void end_range() override { events += ')'; }
  bool replay(std::unique_ptr<Replay>& kept, const std::function<bool()>& body) override {
    if (kept != nullptr && static_cast<Kept&>(*kept).whole) {
      events += 'r';
      return true;
    }
    events += kept == nullptr ? 'e' : 'c';
    if (!body()) return false;
    if (kept == nullptr) {
      kept = std::make_unique<Kept>(alive);
    } else {
      static_cast<Kept&>(*kept).whole = true;
    }
    return true;
  }

  std::string taken() { return std::exchange(events, {}); }
  Counting memory;
  std::string events;
  std::size_t fails_at = 0;
  int alive = 0;
};

}  // namespace

TEST_CASE("a backend that replays is handed the ops until it has them, and anew for other memory") {
  Replaying backend;
  {
    Ops ops(backend, DType::f32);
    const Tensor in = ops.make(DType::f32, {8});
    Program program = Program::record(ops, [&] {
      const auto whole = ops.range("all");
      Tensor x = ops.activation(in, Activation::silu);
      const auto inner = ops.range("last");
      x = ops.activation(x, Activation::silu);
    });
    Arena arena(backend);
    int asked = 0;
    const auto run = [&](std::size_t stop_before = 9) {
      asked = 0;
      return program.run(backend, arena, [&](std::size_t i) {
        ++asked;
        return i < stop_before;
      });
    };
    // Ranges that an early end leaves open are closed.
    CHECK_FALSE(run(1));
    CHECK(backend.taken() == "e(allx)");
    CHECK(run());
    CHECK(backend.taken() == "e(allx(lastx))");
    CHECK(asked == 2);
    CHECK_FALSE(run(1));
    CHECK(backend.taken() == "c(allx)");
    CHECK(run());
    CHECK(backend.taken() == "c(allx(lastx))");
    for (int i = 0; i < 3; ++i) CHECK(run());
    CHECK(backend.taken() == "rrr");
    CHECK(asked == 1);
    CHECK_FALSE(run(0));
    CHECK(backend.taken().empty());
    CHECK(backend.alive == 1);

    arena.reserve(1 << 20);
    CHECK(run());
    CHECK(backend.taken() == "e(allx(lastx))");
    CHECK(backend.alive == 1);
    backend.fails_at = std::string("c(allx(lastx").size();
    CHECK_THROWS_AS(run(), DeviceError);
    CHECK(backend.taken() == "c(allx(lastx))");
    backend.fails_at = 0;

    // A decorator that counts ops sees them all, whatever the backend behind it could replay.
    TracingBackend tracing(backend);
    for (int i = 0; i < 3; ++i) CHECK(program.run(tracing, arena));
    CHECK(tracing.lines().begin()->second.calls == 6);
    // And what the backend kept is not taken for the decorator's.
    CHECK(backend.alive == 0);
  }
  CHECK(backend.alive == 0);
}

TEST_CASE("an error inside a recording ends it; recordings do not nest") {
  ShapeBackend backend;
  Ops ops(backend, DType::f32);
  const Tensor in = ops.make(DType::f32, {8});
  CHECK_THROWS_AS(
      Program::record(ops, [&] { static_cast<void>(ops.geglu(ops.make(DType::f32, {7}))); }),
      ShapeError);
  CHECK_NOTHROW(ops.download(in));
  CHECK_THROWS_AS(Program::record(ops, [&] { static_cast<void>(Program::record(ops, [] {})); }),
                  ShapeError);
  CHECK_THROWS_AS(Program::record(ops, [&] { static_cast<void>(ops.download(in)); }), ShapeError);
  CHECK_THROWS_AS(Program::record(ops, [&] { ops.write(std::vector<float>(8), in); }), ShapeError);
}

TEST_CASE("an empty program runs") {
  Counting backend;
  Ops ops(backend, DType::f32);
  Program program = Program::record(ops, [] {});
  Arena arena(backend);
  CHECK(program.arena_bytes() == 0);
  CHECK(program.run(backend, arena));
}

}  // namespace diffuse
