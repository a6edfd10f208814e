# SPDX-License-Identifier: Apache-2.0
# Toolchain of the preset package-amd64.
set(architecture amd64)
set(machine x86_64)
include(${CMAKE_CURRENT_LIST_DIR}/sysroot.cmake)
