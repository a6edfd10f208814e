// SPDX-License-Identifier: Apache-2.0
#include "fakes/fake_devices.hpp"

#include <unistd.h>

#include <filesystem>
#include <map>
#include <sstream>
#include <stdexcept>

namespace dlm_freeze::fakes {
namespace {

namespace stdfs = std::filesystem;

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) parts.push_back(part);
  return parts;
}

void link(const std::string& at, const std::string& target) {
  stdfs::create_directories(stdfs::path(at).parent_path());
  stdfs::create_symlink(target, at);
}

}  // namespace

// In memory where that can be had: these are many small files.
FakeDevices::FakeDevices() : scratch_(::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp") {}

void FakeDevices::announce(const std::string& directory, const std::string& name, const std::string& number) {
  scratch_.write("sys/" + directory + "/dev", number + "\n");
  link(scratch_ / ("sys/dev/block/" + number), "../../" + directory);
  link(scratch_ / ("sys/class/block/" + name), "../../" + directory);
  scratch_.write("dev/" + name, "");
}

void FakeDevices::add(const Disk& disk) {
  std::string directory = "devices/pci0000:00/0000:00:04.0/virtio1/block/" + disk.name;
  for (const char* made_by_software : {"loop", "dm-", "md", "nbd", "zram"}) {
    if (disk.name.starts_with(made_by_software)) directory = "devices/virtual/block/" + disk.name;
  }
  if (disk.name.starts_with("nvme")) {
    const std::string controller = disk.name.substr(0, disk.name.find('n', 4));
    const std::string device = "devices/pci0000:00/0000:00:1f.0/nvme/" + controller;
    directory = device + "/" + disk.name;
    if (!disk.serial.empty()) scratch_.write("sys/" + device + "/serial", disk.serial + "\n");
    if (!disk.model.empty()) scratch_.write("sys/" + device + "/model", disk.model + "\n");
    link(scratch_ / ("sys/" + directory + "/device"), "../../" + controller);
  }
  const std::string full = "sys/" + directory + "/";
  scratch_.write(full + "size", std::to_string(disk.sectors) + "\n");
  stdfs::create_directories(scratch_ / (full + "slaves"));
  stdfs::create_directories(scratch_ / (full + "holders"));
  if (!disk.backing_file.empty()) scratch_.write(full + "loop/backing_file", disk.backing_file + "\n");
  for (const std::string& slave : disk.slaves) {
    const stdfs::path below = stdfs::canonical(scratch_ / ("sys/class/block/" + slave));
    link(scratch_ / (full + "slaves/" + slave), below);
    link(below / "holders" / disk.name, scratch_ / full);
  }
  if (!disk.dm_name.empty()) scratch_.write(full + "dm/name", disk.dm_name + "\n");
  if (!disk.dm_uuid.empty()) scratch_.write(full + "dm/uuid", disk.dm_uuid + "\n");
  announce(directory, disk.name, disk.number);
  if (!disk.dm_name.empty()) link(scratch_ / ("dev/mapper/" + disk.dm_name), "../" + disk.name);
}

void FakeDevices::add_partition(const std::string& disk, const std::string& name, const std::string& number,
                                std::uint64_t sectors) {
  const stdfs::path parent = stdfs::canonical(scratch_ / ("sys/class/block/" + disk));
  const std::string directory = stdfs::relative(parent, scratch_ / "sys").string() + "/" + name;
  scratch_.write("sys/" + directory + "/partition", "1\n");
  scratch_.write("sys/" + directory + "/size", std::to_string(sectors) + "\n");
  announce(directory, name, number);
}

void FakeDevices::add_btrfs(const std::string& uuid, const std::vector<std::string>& devices) {
  for (const std::string& device : devices) {
    link(scratch_ / ("sys/fs/btrfs/" + uuid + "/devices/" + device),
         stdfs::canonical(scratch_ / ("sys/class/block/" + device)));
  }
  stdfs::create_directories(scratch_ / "sys/fs/btrfs/features");
}

void FakeDevices::add_ext4(const std::string& device) const {
  scratch_.write("sys/fs/ext4/" + device + "/errors_count", "0\n");
}

void FakeDevices::remove_node(const std::string& name) const { stdfs::remove(scratch_ / ("dev/" + name)); }

void FakeDevices::add_journal(const std::string& name) const {
  stdfs::create_directories(scratch_ / ("proc/fs/jbd2/" + name));
}

void FakeDevices::add_swap(const std::vector<std::string>& names) const {
  std::string text = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";
  for (const std::string& name : names) text += "/dev/" + name + "  partition\t8388604\t\t0\t\t-2\n";
  scratch_.write("proc/swaps", text + "/swapfile  file\t1024\t\t0\t\t-3\n");
}

void FakeDevices::add_all(std::string_view lines) {
  for (const std::string& line : split(std::string(lines), '\n')) {
    if (line.empty() || line.starts_with('#')) continue;
    const std::vector<std::string> words = split(line, ' ');
    if (words.size() < 2) throw std::runtime_error("not a device: " + line);
    if (words[0] == "btrfs") {
      add_btrfs(words[1], split(words.at(2), ','));
      continue;
    }
    Disk disk{.name = words[0], .number = words[1]};
    std::string on;
    for (std::size_t i = 2; i < words.size(); ++i) {
      const std::size_t equals = words[i].find('=');
      const std::string key = words[i].substr(0, equals);
      const std::string value = words[i].substr(equals + 1);
      if (key == "sectors") {
        disk.sectors = std::stoull(value);
      } else if (key == "serial") {
        disk.serial = value;
      } else if (key == "backing") {  // A path may have blanks: the last word of the line.
        disk.backing_file = line.substr(line.find("backing=") + key.size() + 1);
        break;
      } else if (key == "slaves") {
        disk.slaves = split(value, ',');
      } else if (key == "dm") {
        disk.dm_name = value;
      } else if (key == "on") {
        on = value;
      } else {
        throw std::runtime_error("not known of a device: " + words[i]);
      }
    }
    if (on.empty()) {
      add(disk);
    } else {
      add_partition(on, disk.name, disk.number, disk.sectors);
    }
  }
}

}  // namespace dlm_freeze::fakes
