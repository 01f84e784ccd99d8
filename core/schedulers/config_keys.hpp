#pragma once

#include <span>
#include <string_view>

#include "core/schedulers/config_value.hpp"
#include "core/schedulers/scheduler.hpp"

namespace diffuse {

/// One key of `scheduler_config.json`: the classes that look at it, and how it is read.
struct ConfigKey {
  std::string_view name;
  unsigned classes;  ///< bit 1 << kind
  void (*read)(const ConfigValue& value, SchedulerConfig& config);

  [[nodiscard]] bool belongs_to(SchedulerKind kind) const {
    return (classes >> static_cast<unsigned>(kind) & 1U) != 0;
  }
};

/// All keys of all supported classes, in the order in which they must be read.
std::span<const ConfigKey> config_keys();

/// The default values of the class's constructor in diffusers 0.42.
SchedulerConfig default_config(SchedulerKind kind);

}  // namespace diffuse
