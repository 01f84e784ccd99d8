#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/tensor/ops.hpp"

namespace diffuse {

/// Memory shared by recordings that never run at the same time.
class Arena {
 public:
  explicit Arena(Backend& backend) : backend_(backend) {}
  /// Grows to at least `bytes` (the contents are lost); returns the base address.
  std::byte* reserve(std::size_t bytes);
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  Backend& backend_;
  std::shared_ptr<void> memory_;
  std::size_t bytes_ = 0;
};

/// Ops recorded once, replayed many times. Tensors made inside the recording live in the arena, at
/// offsets planned from their lifetimes; tensors made outside are fixed inputs and outputs. Nothing
/// is executed while recording. Results must be copied or written to tensors made outside: another
/// program may use the arena next.
class Program {
 public:
  /// Runs `body` once, with `ops` recording, and plans the arena.
  static Program record(Ops& ops, const std::function<void()>& body);

  Program(Program&&) = default;
  Program& operator=(Program&&) = default;

  [[nodiscard]] const std::vector<Op>& ops() const { return ops_; }
  /// Bytes of arena that the planner needs.
  [[nodiscard]] std::size_t arena_bytes() const { return arena_bytes_; }
  /// Largest sum of tensors alive at one op: the floor of any plan.
  [[nodiscard]] std::size_t live_bytes() const { return live_bytes_; }

  /// Performs all ops in order; tensors are placed in `arena` first. Calls `between(i)` before op
  /// i, if given; stops and returns false when it returns false. For a backend that replays the ops
  /// as one, before the first op only. `between(0)` may run other programs, also in `arena`.
  bool run(Backend& backend, Arena& arena, const std::function<bool(std::size_t)>& between = {});

 private:
  friend class Ops;
  struct Slot {
    std::shared_ptr<Storage> storage;
    std::size_t first = 0, last = 0;  // ops between which the contents matter
    std::size_t offset = 0;
  };

  // A range begins before an op, or, without a name, the last one begun ends.
  struct Mark {
    std::size_t before = 0;
    std::string name;
  };

  Program() = default;
  void plan();

  void bind(const Backend& backend, std::byte* base);

  std::vector<Op> ops_;
  std::vector<Mark> marks_;
  std::vector<Slot> slots_;
  std::size_t arena_bytes_ = 0;
  std::size_t live_bytes_ = 0;
  std::byte* bound_ = nullptr;
  const Backend* backend_ = nullptr;  // that `kept_` belongs to
  std::unique_ptr<Replay> kept_;      // last: goes before the memory that it uses
};

}  // namespace diffuse
