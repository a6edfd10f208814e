# SPDX-License-Identifier: Apache-2.0
# Toolchain of the preset release-arm64: Debian's cross compiler, and the sysroot that scripts/arm64-sysroot makes.

set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)

set(DLM_FREEZE_ARM64_SYSROOT $ENV{DLM_FREEZE_ARM64_SYSROOT})
if(NOT DLM_FREEZE_ARM64_SYSROOT)
  set(DLM_FREEZE_ARM64_SYSROOT /var/cache/dlm-freeze/arm64-sysroot)
endif()
if(NOT EXISTS ${DLM_FREEZE_ARM64_SYSROOT}/made-of)
  message(FATAL_ERROR "There is no sysroot in ${DLM_FREEZE_ARM64_SYSROOT}: run sudo scripts/arm64-sysroot")
endif()

set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_SYSROOT ${DLM_FREEZE_ARM64_SYSROOT})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${CMAKE_SYSROOT})
set(ENV{PKG_CONFIG_LIBDIR} ${CMAKE_SYSROOT}/usr/lib/aarch64-linux-gnu/pkgconfig:${CMAKE_SYSROOT}/usr/share/pkgconfig)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64-static -L ${CMAKE_SYSROOT})
