# SPDX-License-Identifier: Apache-2.0
# Toolchain of the preset package-arm64.
set(architecture arm64)
set(machine aarch64)
include(${CMAKE_CURRENT_LIST_DIR}/sysroot.cmake)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64-static -L ${CMAKE_SYSROOT})
