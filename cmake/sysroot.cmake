# SPDX-License-Identifier: Apache-2.0
# What the toolchains of the packages share: this host's g++, with the headers and libraries of Debian 11 that scripts/sysroot
# unpacks. `architecture` is Debian's name of it, `machine` that of the processor.

set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR ${machine})
set(CMAKE_LIBRARY_ARCHITECTURE ${machine}-linux-gnu)
set(CMAKE_C_COMPILER ${machine}-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER ${machine}-linux-gnu-g++)
set(DLM_FREEZE_DEBIAN_ARCHITECTURE ${architecture})

set(sysroots $ENV{DLM_FREEZE_SYSROOTS})
if(NOT sysroots)
  set(sysroots /var/cache/dlm-freeze)
endif()
set(CMAKE_SYSROOT ${sysroots}/bullseye-${architecture})
if(NOT EXISTS ${CMAKE_SYSROOT}/made-of)
  message(FATAL_ERROR "There is no sysroot in ${CMAKE_SYSROOT}: run sudo scripts/sysroot ${architecture}")
endif()

set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(libraries ${CMAKE_SYSROOT}/usr/lib/${machine}-linux-gnu)
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${CMAKE_SYSROOT})
set(ENV{PKG_CONFIG_LIBDIR} ${libraries}/pkgconfig:${CMAKE_SYSROOT}/usr/share/pkgconfig)

# Debian's g++ looks for start files and libraries in the host's directories first.
foreach(kind EXE MODULE SHARED)
  set(CMAKE_${kind}_LINKER_FLAGS_INIT "-B${libraries} -L${libraries}")
endforeach()
