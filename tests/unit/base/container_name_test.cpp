// SPDX-License-Identifier: Apache-2.0
#include "base/container_name.hpp"

#include <gtest/gtest.h>

#include <string>

namespace dlm_freeze {
namespace {

const std::string kId = "3f2a1b2c3d4e5f60718293a4b5c6d7e8f9000102030405060708090a0b0c0d0e";
const std::string kOther = "0000000000000000000000000000000000000000000000000000000000000abc";

std::string text_of(const std::string& path) {
  const auto found = parse_container_name("0::" + path + "\n");
  return found ? found->text() : "none";
}

TEST(ContainerNames, AreThoseOfTheRuntimesPaths) {
  EXPECT_EQ(text_of("/system.slice/docker-" + kId + ".scope"), "docker container 3f2a1b2c3d4e");
  EXPECT_EQ(text_of("/docker/" + kId), "docker container 3f2a1b2c3d4e");
  EXPECT_EQ(text_of("/machine.slice/libpod-" + kId + ".scope/container"), "podman container 3f2a1b2c3d4e");
  EXPECT_EQ(text_of("/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + kId + ".scope"),
            "podman container 3f2a1b2c3d4e");
  EXPECT_EQ(text_of("/libpod_parent/libpod-" + kId), "podman container 3f2a1b2c3d4e");
  EXPECT_EQ(text_of("/system.slice/orders.service/libpod-payload-" + kId), "podman container 3f2a1b2c3d4e");
  EXPECT_EQ(
      text_of("/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod1f2e_3d.slice/crio-" + kId + ".scope"),
      "CRI-O container 3f2a1b2c3d4e");
  EXPECT_EQ(text_of("/system.slice/nerdctl-" + kId + ".scope"), "containerd container 3f2a1b2c3d4e");
  EXPECT_EQ(text_of("/kubepods/burstable/pod1f2e-3d/" + kId), "pod container 3f2a1b2c3d4e");
  EXPECT_EQ(text_of("/ecs/0123456789abcdef/" + kId), "container 3f2a1b2c3d4e");
  EXPECT_EQ(text_of("/system.slice/containerd.service/kubepods-pod1f2e.slice:cri-containerd:" + kId),
            "containerd container 3f2a1b2c3d4e");
  EXPECT_EQ(text_of("/lxc.payload.web-1/system.slice/mariadb.service"), "LXC container web-1");
  EXPECT_EQ(text_of("/lxc/web-1/init.scope"), "LXC container web-1");
  EXPECT_EQ(text_of("/machine.slice/systemd-nspawn@my\\x2ddb.service/payload/init.scope"), "machine my-db");
  EXPECT_EQ(text_of("/machine.slice/machine-my\\x2ddb.scope"), "machine my-db");
}

TEST(ContainerNames, GoWithTheControlGroupThatHasThem) {
  const std::string group = "/system.slice/docker-" + kId + ".scope";
  EXPECT_EQ(parse_container_name("0::" + group)->group, group);
  EXPECT_EQ(parse_container_name("0::" + group + "/init.scope/docker/" + kOther)->group, group);
  EXPECT_EQ(parse_container_name("3:cpu:/\n1:name=systemd:/docker/" + kId + "/a\n")->group, "/docker/" + kId);
}

TEST(ContainerNames, AreNotWhatOnlyLooksLikeOne) {
  for (const std::string path : {"/", "/system.slice/mariadb.service", "/system.slice/docker.service",
                                 "/user.slice/user-0.slice/session-1.scope", "/docker/abc", "/lxc", "/lxc/",
                                 "/machine.slice/machine-.scope", "/../..", ""}) {
    EXPECT_EQ(text_of(path), "none") << path;
  }
  EXPECT_EQ(text_of("/machine.slice/libpod-conmon-" + kId + ".scope"), "none");
  EXPECT_EQ(text_of("/system.slice/docker-" + kId.substr(1) + ".scope"), "none");
  EXPECT_FALSE(parse_container_name(""));
  EXPECT_FALSE(parse_container_name("no colons\n0:\n"));
}

TEST(ContainerNames, AreTheOutermost) {
  EXPECT_EQ(text_of("/docker/" + kId + "/kubepods/pod1/" + kOther), "docker container 3f2a1b2c3d4e");
  EXPECT_EQ(text_of("/lxc.payload.outer/docker/" + kOther), "LXC container outer");
}

TEST(ContainerNames, AreInAnyHierarchy) {
  const auto found = parse_container_name("9:name=systemd:/\n4:memory:/docker/" + kId + "\n0::/\n");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->id, kId);
}

TEST(ContainerNames, AreCalledByIdOrPodOrMachine) {
  const auto pod = parse_container_name(
      "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1f2e_3d.slice/cri-containerd-" + kId +
      ".scope");
  ASSERT_TRUE(pod);
  EXPECT_EQ(pod->text(), "containerd container 3f2a1b2c3d4e");
  EXPECT_EQ(pod->pod, "1f2e-3d");
  for (const std::string& name : {kId, kId.substr(0, 12), kId.substr(0, 20), std::string("1f2e-3d")})
    EXPECT_TRUE(pod->is_called(name)) << name;
  for (const std::string& name : {kOther, kId.substr(0, 11), std::string(), std::string("1f2e")})
    EXPECT_FALSE(pod->is_called(name)) << name;
  const auto machine = parse_container_name("0::/lxc.payload.web-1");
  ASSERT_TRUE(machine);
  EXPECT_TRUE(machine->is_called("web-1"));
  EXPECT_FALSE(machine->is_called("web"));
  EXPECT_EQ(parse_container_name("0::/kubepods/burstable/pod1f2e-3d/" + kId)->pod, "1f2e-3d");
}

TEST(ContainerNames, AreThoseOfAProcess) { EXPECT_FALSE(container_of(-1)); }

}  // namespace
}  // namespace dlm_freeze
