#pragma once

#include "kernels/plans/plan_table.hpp"

namespace diffuse {

/// What a backend whose kernels come from libraries lets the program do with its choices.
class Planner {
 public:
  Planner() = default;
  Planner(const Planner&) = delete;
  Planner& operator=(const Planner&) = delete;
  virtual ~Planner() = default;

  [[nodiscard]] virtual PlanMachine machine() const = 0;
  /// Choices to keep to from now on. Shapes that are not in it are chosen when they are met. The
  /// table must fit machine().
  virtual void use(PlanTable table) = 0;
  /// All choices so far: those given and those made.
  [[nodiscard]] virtual const PlanTable& table() const = 0;
  /// Makes the choice for a shape, unless it is made.
  virtual void plan(const PlanShape& shape) = 0;
  /// The same by the clock, among what the strict rule permits at the canonical batch; replaces a
  /// choice that is there.
  virtual void tune(const PlanShape& shape) = 0;
};

/// A backend that has a planner.
class PlannedBackend {
 public:
  PlannedBackend() = default;
  PlannedBackend(const PlannedBackend&) = delete;
  PlannedBackend& operator=(const PlannedBackend&) = delete;
  virtual ~PlannedBackend() = default;
  virtual Planner& planner() = 0;
};

}  // namespace diffuse
