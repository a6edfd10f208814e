// SPDX-License-Identifier: Apache-2.0
#include "fs/elsewhere.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "fakes/mount_tables.hpp"
#include "fs/container_name.hpp"

namespace dlm_freeze {
namespace {

using testing::HasSubstr;

const std::string kId = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

std::string container_at(const std::string& path) { return container_of("0::" + path + "\n"); }

TEST(Containers, AreNamedAsTheirRuntimeNamesTheirCgroups) {
  EXPECT_EQ(container_at("/system.slice/docker-" + kId + ".scope"), "docker container 0123456789ab");
  EXPECT_EQ(container_at("/docker/" + kId), "docker container 0123456789ab");
  EXPECT_EQ(container_at("/machine.slice/libpod-" + kId + ".scope/container"), "podman container 0123456789ab");
  EXPECT_EQ(container_at("/libpod_parent/libpod-" + kId), "podman container 0123456789ab");
  const std::string pod = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice/";
  EXPECT_EQ(container_at(pod + "cri-containerd-" + kId + ".scope"), "containerd container 0123456789ab");
  EXPECT_EQ(container_at(pod + "crio-" + kId + ".scope"), "CRI-O container 0123456789ab");
  EXPECT_EQ(container_at("/kubepods/besteffort/pod1-2/" + kId), "pod container 0123456789ab");
  EXPECT_EQ(container_at("/lxc.payload.web/init.scope"), "LXC container web");
  EXPECT_EQ(container_at("/lxc/web"), "LXC container web");
  EXPECT_EQ(container_at("/machine.slice/machine-my\\x2dweb.scope/payload"), "machine my-web");
  EXPECT_EQ(container_at("/machine.slice/systemd-nspawn@web.service/payload"), "machine web");
}

TEST(Containers, AreNamedInTheFirstVersionOfCgroupsToo) {
  EXPECT_EQ(container_of("2:cpuset:/\n1:name=systemd:/docker/" + kId + "\n0::/\n"), "docker container 0123456789ab");
}

TEST(Containers, AreNotWhatOnlyLooksLikeOne) {
  for (const std::string path :
       {"/", "/system.slice/mariadb.service", "/user.slice/user-1000.slice/session-2.scope", "/docker/build", "/lxc",
        "/system.slice/docker-short.scope", "/system.slice/docker.service"}) {
    EXPECT_EQ(container_at(path), "") << path;
  }
  EXPECT_EQ(container_of(""), "");
  EXPECT_EQ(container_of("0::"), "");
  EXPECT_EQ(container_of("nonsense"), "");
}

TEST(Containers, AreTheOutermostSinceAnybodyInsideMayMakeCgroups) {
  EXPECT_EQ(container_at("/docker/" + kId + "/docker/" + std::string(64, 'f')), "docker container 0123456789ab");
  EXPECT_EQ(container_at("/lxc.payload.web/docker/" + kId), "LXC container web");
}

const std::string kRoot = "1 0 0:50 / / rw - overlay overlay rw\n";

std::string obstacle(const std::string& others) {
  const MountTable table = fakes::table_from(kRoot + others);
  return obstacle_to(table, *table.find(9));
}

TEST(ObstaclesElsewhere, AreNoneOnLocalFilesystems) {
  EXPECT_EQ(obstacle("9 1 8:1 / /data rw - ext4 /dev/sda rw\n"), "");
  EXPECT_EQ(obstacle("2 1 0:51 / /srv rw - tmpfs t rw\n9 2 8:1 / /srv/data rw - ext4 /dev/sda rw\n"), "");
}

TEST(ObstaclesElsewhere, AreMountsThatHideIt) {
  EXPECT_EQ(obstacle("9 1 8:1 / /data rw - ext4 /dev/sda rw\n3 9 0:52 / /data rw - tmpfs t rw\n"),
            "another mount hides it there");
  EXPECT_EQ(obstacle("9 1 8:1 / /a/data rw - ext4 /dev/sda rw\n3 1 0:52 / /a rw - tmpfs t rw\n"),
            "another mount hides it there");
}

TEST(ObstaclesElsewhere, AreFilesystemsOnTheWayThatMayNotAnswer) {
  for (const std::string type : {"fuse.x", "nfs4", "autofs"}) {
    EXPECT_THAT(obstacle("2 1 0:51 / /a rw - " + type + " x rw\n9 2 8:1 / /a/data rw - ext4 /dev/sda rw\n"),
                HasSubstr("leads through " + type));
  }
  const MountTable table =
      fakes::table_from("1 0 0:50 / / rw - nfs server:/root rw\n9 1 8:1 / /data rw - ext4 /dev/sda rw\n");
  EXPECT_THAT(obstacle_to(table, *table.find(9)), HasSubstr("leads through nfs"));
}

TEST(Elsewhere, IsToldByItsContainerOrItsProcess) {
  MountElsewhere mount{.mount = {}, .process = 77, .command = "mariadbd"};
  mount.mount.mount_point = "/data";
  EXPECT_EQ(mount.where(), "process 77 (mariadbd)");
  EXPECT_EQ(mount.name(), "/data (process 77, mariadbd)");
  mount.container = "LXC container web";
  EXPECT_EQ(mount.where(), "LXC container web (process 77, mariadbd)");
  EXPECT_EQ(mount.name(), "/data (LXC container web)");
}

}  // namespace
}  // namespace dlm_freeze
