// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "commands/volume_report.hpp"
#include "fakes/fake_databases.hpp"
#include "fakes/fake_devices.hpp"
#include "fakes/mount_tables.hpp"

namespace dlm_freeze {

/// A host that there is only here, and the plan for it.
struct PlannedHost {
  PlannedHost(const std::string& device_lines, const std::string& mountinfo) {
    devices.add_all(device_lines);
    replan(mountinfo);
  }

  /// Makes the plan anew, after `devices`, `settings` or `facts` were changed.
  void replan(const std::string& mountinfo) {
    plan.table = fakes::table_from(mountinfo);
    plan.stacks = read_block_stacks(plan.table, devices.roots());
    plan.freeze = plan_freeze(plan.table, plan.stacks, settings.filesystems, facts);
  }

  void add_database(const std::string& name, std::vector<DataLocation> locations, bool running = true) {
    FoundQuiescer found{{fakes::FakeDatabases::config(0, name), &fakes::FakeDatabases::type(), nullptr}, {}};
    found.presence.running = running;
    found.presence.locations = std::move(locations);
    plan.quiescers.push_back(std::move(found));
  }

  [[nodiscard]] AttachedDisks disks() const { return AttachedDisks::read(devices.roots()); }

  [[nodiscard]] VolumeReport report() const { return report_volumes(plan, disks()); }

  fakes::FakeDevices devices;
  Settings settings;
  HostFacts facts;
  HostPlan plan{MountTable({}), {}, {}, {}, {}};
};

/// "vol-1 frozen [/data, /more] why"
inline std::vector<std::string> rows_of(const VolumeReport& report) {
  std::vector<std::string> rows;
  for (const VolumeRow& row : report.rows) {
    std::string filesystems;
    for (const std::string& name : row.filesystems) filesystems += (filesystems.empty() ? "" : ", ") + name;
    rows.push_back(row.name + " " + std::string(words_of(row.state)) + " [" + filesystems + "] " + row.why);
  }
  return rows;
}

}  // namespace dlm_freeze
