// SPDX-License-Identifier: Apache-2.0
#include "commands/hazards.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "planned_host.hpp"

namespace dlm_freeze {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class Hazards : public testing::Test {
 protected:
  static constexpr const char* kDevices = "sda 8:0\nsdb 8:16\n";
  static constexpr const char* kMounts =
      "20 0 8:0 / / rw - ext4 /dev/sda rw\n"
      "26 20 8:16 / /nowhere/data rw - xfs /dev/sdb rw\n";

  Hazards() { readings_.proc = proc_.path(); }

  [[nodiscard]] std::vector<std::string> found(int auto_thaw = 60) const {
    std::vector<std::string> texts;
    for (const Hazard& hazard : find_hazards(host_.plan, host_.settings, std::chrono::seconds(auto_thaw), readings_))
      texts.push_back(hazard.name + ": " + hazard.text());
    return texts;
  }

  void process(const std::string& id, const std::string& command, const std::string& environment = "") const {
    proc_.write(id + "/comm", command + "\n");
    proc_.write(id + "/environ", environment);
  }

  /// A descriptor of a process, as proc(5) shows it.
  void descriptor(const std::string& process, const std::string& number, const std::string& target,
                  const std::string& info) const {
    proc_.write(process + "/fdinfo/" + number, info);
    std::filesystem::create_directories(proc_ / (process + "/fd"));
    std::filesystem::create_symlink(target, proc_ / (process + "/fd/" + number));
  }

  static std::string environment(const std::string& microseconds, const std::string& process) {
    return std::string("PATH=/bin\0", 10) + "WATCHDOG_USEC=" + microseconds + std::string(1, '\0') +
           "WATCHDOG_PID=" + process + std::string(1, '\0');
  }

  fakes::Scratch proc_;
  PlannedHost host_{kDevices, kMounts};
  HostReadings readings_;
};

TEST_F(Hazards, AreNoneOnAHostThatIsWell) {
  process("1", "systemd");
  proc_.write("sys/kernel/hung_task_panic", "0\n");
  readings_.is_clock_synchronised = true;
  readings_.state_bytes_left = std::uint64_t{1} << 30;
  readings_.state_files_left = 100'000;
  EXPECT_THAT(found(), IsEmpty());
}

TEST_F(Hazards, AreListenersThatDecideOnWhatIsFrozen) {
  process("70", "clamonacc");
  // The mount of the data is 26, 1a in hexadecimal; FAN_OPEN_PERM.
  descriptor("70", "3", "anon_inode:[fanotify]",
             "pos:\t0\nflags:\t02\nmnt_id:\t16\nfanotify flags:4 event-flags:0\n"
             "fanotify mnt_id:1a mflags:0 mask:10000 ignored_mask:0\n");
  EXPECT_THAT(found(), ElementsAre(AllOf(HasSubstr("fanotify: clamonacc (process 70): it approves every open"),
                                         HasSubstr("/nowhere/data"))));
}

TEST_F(Hazards, AreListenersOnAWholeFilesystem) {
  process("71", "fapolicyd");
  descriptor("71", "9", "anon_inode:[fanotify]", "fanotify sdev:800010 mflags:0 mask:40000 ignored_mask:0\n");
  EXPECT_THAT(found(), ElementsAre(HasSubstr("fapolicyd (process 71)")));
}

TEST_F(Hazards, AreNotListenersThatOnlyHearOrWatchSomethingElse) {
  process("72", "indexer");
  descriptor("72", "3", "anon_inode:[fanotify]", "fanotify mnt_id:1a mflags:0 mask:20 ignored_mask:0\n");
  descriptor("72", "4", "anon_inode:[fanotify]", "fanotify mnt_id:14 mflags:0 mask:10000 ignored_mask:0\n");
  descriptor("72", "5", "anon_inode:inotify", "inotify wd:1 mask:10000\n");
  EXPECT_THAT(found(), IsEmpty());
}

TEST_F(Hazards, AreServicesThatSystemdEndsWhenTheyWait) {
  process("80", "shopd", environment("30000000", "80"));
  descriptor("80", "5", "/nowhere/data/journal", "pos:\t0\nflags:\t0100001\nmnt_id:\t26\n");
  EXPECT_THAT(found(), ElementsAre(AllOf(HasSubstr("watchdog: shopd (process 80): systemd kills it"),
                                         HasSubstr("30.000 s"), HasSubstr("/nowhere/data/journal"))));
  EXPECT_THAT(found(29), IsEmpty()) << "it is thawed before";
}

TEST_F(Hazards, AreNotServicesThatOnlyReadThereNorTheirChildren) {
  process("81", "reader", environment("1000000", "81"));
  descriptor("81", "5", "/nowhere/data/x", "flags:\t0100000\nmnt_id:\t26\n");
  descriptor("81", "6", "/var/lib/x", "flags:\t0100001\nmnt_id:\t20\n");
  process("82", "child", environment("1000000", "81"));
  descriptor("82", "5", "/nowhere/data/x", "flags:\t0100001\nmnt_id:\t26\n");
  EXPECT_THAT(found(), IsEmpty());
}

TEST_F(Hazards, AreFoundInOtherMountNamespaces) {
  process("83", "pod", environment("1000000", "83"));
  descriptor("83", "5", "/data/x", "flags:\t0100002\nmnt_id:\t900\n");
  proc_.write("83/mountinfo", "890 0 0:60 / / rw - overlay o rw\n900 890 8:16 / /data rw - xfs /dev/sdb rw\n");
  EXPECT_THAT(found(), ElementsAre(HasSubstr("pod (process 83)")));
}

TEST_F(Hazards, AreLogDaemonsThatWriteToWhatIsFrozen) {
  process("90", "rsyslogd");
  descriptor("90", "7", "/nowhere/data/log/messages", "flags:\t0102001\nmnt_id:\t26\n");
  process("91", "auditd");
  descriptor("91", "7", "/var/log/audit/audit.log", "flags:\t0102001\nmnt_id:\t20\n");
  EXPECT_THAT(found(), ElementsAre(AllOf(HasSubstr("logging: rsyslogd (process 90)"),
                                         HasSubstr("/nowhere/data/log/messages"), HasSubstr("filesystems.protect"))));
}

TEST_F(Hazards, AreAKernelThatPanicsWhenSomebodyWaits) {
  proc_.write("sys/kernel/hung_task_panic", "1\n");
  proc_.write("sys/kernel/hung_task_timeout_secs", "60\n");
  EXPECT_THAT(found(60), ElementsAre(HasSubstr("hung_task_panic: kernel.hung_task_panic is 1: the kernel panics")));
  EXPECT_THAT(found(59), IsEmpty());
  proc_.write("sys/kernel/hung_task_timeout_secs", "0\n");
  EXPECT_THAT(found(60), IsEmpty()) << "0 is never";
}

TEST_F(Hazards, AreTimeOutsThatDoNotFitTheCaller) {
  host_.settings.timeout = std::chrono::seconds(30);
  EXPECT_THAT(found(120), ElementsAre(HasSubstr("dlm_timeout: timeout_seconds is 30: DLM waits 10 s")));
  host_.settings.timeout = std::chrono::seconds(8);
  EXPECT_THAT(found(17), ElementsAre(HasSubstr("deadline: the deadline is after 17 s")));
  EXPECT_THAT(found(18), IsEmpty());
}

TEST_F(Hazards, AreAClockThatNobodySetsAndAFullRun) {
  readings_.is_clock_synchronised = false;
  readings_.state_bytes_left = 4096;
  readings_.state_files_left = 9;
  EXPECT_THAT(found(),
              ElementsAre(HasSubstr("clock: "), HasSubstr("/run/dlm-freeze is nearly full: 4.0 KiB and 9 files")));
}

TEST(Readings, OfThisHostCanBeHad) {
  const fakes::Scratch scratch;
  const HostReadings readings = HostReadings::read(scratch / "not-there-yet");
  EXPECT_TRUE(readings.is_clock_synchronised.has_value());
  EXPECT_TRUE(readings.state_bytes_left.has_value());
}

}  // namespace
}  // namespace dlm_freeze
